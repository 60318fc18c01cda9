# Throughput of the queues by number of threads. Wants `data` and `picture`.
set terminal pngcairo size 800,420 font "sans,10"
set output picture
set title "Items a second, non-blocking (millions)"
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.9 border -1
set boxwidth 0.9
set grid ytics
set yrange [0:*]
set key top right
plot data using 2:xtic(1) title "SCQ (core/ring)", '' using 3 title "Vyukov", \
    '' using 4 title "ck\\_ring MPMC", '' using 5 title "mutex"
