# Lines of bench_ring in, tables out: medians over the rounds, and scq as a multiple of the others.
# With plot=1: the throughput as gnuplot's data, in millions a second.

function median(key, i, j, swap, m) {
    m = n[key]
    for (i = 1; i <= m; i++)
        for (j = i + 1; j <= m; j++)
            if (value[key, i] > value[key, j]) {
                swap = value[key, i]
                value[key, i] = value[key, j]
                value[key, j] = swap
            }
    return value[key, int((m + 1) / 2)]
}

function ratio(a, b) {
    return b > 0 ? sprintf("%.2f", a / b) : "-"
}

{
    for (i = 4; i < NF; i += 2) {
        key = $1 " " $2 " " $3 " " $i
        value[key, ++n[key]] = $(i + 1)
    }
    if ($1 == "halted" && $3 != "none")
        halts[$2, ++n_halts[$2]] = $3
}

function throughput_table(what, title, sides, q, line, scq) {
    print title
    printf "%-8s %8s %8s %8s %8s   %s\n", "threads", "scq", "vyukov", "ck", "mutex", "scq as a multiple of vyukov, ck, mutex"
    for (sides = 1; sides <= 8; sides *= 2) {
        printf "%-8s", sides "P" sides "C"
        for (q = 1; q <= 4; q++)
            printf " %8.2f", median(what " " name[q] " " sides " per_second") / 1e6
        scq = median(what " scq " sides " per_second")
        printf "   "
        for (q = 2; q <= 4; q++)
            printf " %s", ratio(scq, median(what " " name[q] " " sides " per_second"))
        print ""
    }
    print ""
}

function plot_data(sides, q) {
    print "threads scq vyukov ck mutex"
    for (sides = 1; sides <= 8; sides *= 2) {
        printf "%s", sides "P" sides "C"
        for (q = 1; q <= 4; q++)
            printf " %.3f", median("throughput " name[q] " " sides " per_second") / 1e6
        print ""
    }
}

# The places at which a push was stopped: how many, and the medians of all as one more series to take the median of.
function collect_places(queue, i, place, seen) {
    split("", seen)
    for (i = 1; i <= n_halts[queue]; i++) {
        place = halts[queue, i]
        if (!(place in seen)) {
            seen[place] = 1
            value["places " queue, ++n["places " queue]] = median("halted " queue " " place " per_second")
        }
    }
    return n["places " queue]
}

END {
    split("scq vyukov ck mutex", name, " ")
    if (plot) {
        plot_data()
        exit
    }
    throughput_table("throughput", "Non-blocking, millions of items a second")
    throughput_table("parking", "With sleeping consumers that work on each item, millions of items a second")
    print "System calls an item there (sleeps and wake-ups)"
    for (sides = 1; sides <= 8; sides *= 2) {
        printf "%-8s", sides "P" sides "C"
        for (q = 1; q <= 4; q++)
            printf " %8.4f", median("parking " name[q] " " sides " calls_per_item")
        print ""
    }
    print "\nOne operation at 4P4C, microseconds"
    printf "%-8s %14s %14s %14s %14s\n", "queue", "p99.99", "worst", "p99.99 of CPU", "worst of CPU"
    for (q = 1; q <= 4; q++) {
        key = "latency " name[q] " 4 "
        printf "%-8s %14.1f %14.1f %14.1f %14.1f\n", name[q], median(key "p9999_ns") / 1e3,
            median(key "worst_ns") / 1e3, median(key "cpu_p9999_ns") / 1e3, median(key "cpu_worst_ns") / 1e3
    }
    print "\nOne producer stopped for ever in the middle of a push, 2P2C go on: millions of items a second"
    printf "%-8s %10s %10s %10s   %s\n", "queue", "nobody", "middle", "least", "of so many places to stop"
    for (q = 1; q <= 4; q++) {
        places = collect_places(name[q])
        middle = median("places " name[q])
        printf "%-8s %10.2f %10.2f %10.2f   %d\n", name[q], median("halted " name[q] " none per_second") / 1e6,
            middle / 1e6, value["places " name[q], 1] / 1e6, places
    }
}
