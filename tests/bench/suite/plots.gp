# The plots of docs/performance.md. Wants `folder`, where the data is and the pictures go.
set terminal pngcairo size 800,480 font "sans,10" noenhanced
set grid
set key top left autotitle columnheader

set output folder."/performance-throughput.png"
set title "Calls a second by calls in flight"
set logscale x 2
set xlabel "in flight"
set yrange [0:*]
data = folder."/throughput.dat"
stats data nooutput
plot for [i=0:STATS_blocks-1] data index i using 1:2 with linespoints pointtype 7

set output folder."/performance-latency.png"
set title "Latency at half the peak rate, counted from when a call should have started"
unset logscale
set logscale xy
set xlabel "µs"
set ylabel "share of calls that took longer"
set yrange [0.0001:1]
set key bottom left
data = folder."/latency.dat"
stats data nooutput
plot for [i=0:STATS_blocks-1] data index i using 1:2 with lines linewidth 2

data = folder."/stored.dat"
stored = system("wc -l < ".data) + 0
if (stored > 1) {
    set output folder."/performance-stored.png"
    set title "What a create costs by panics stored"
    unset logscale
    set logscale x
    set xlabel "panics stored"
    set ylabel "CPU of panicd, µs a create"
    set yrange [0:*]
    set autoscale x
    unset key
    plot data using 1:2 with linespoints pointtype 7 linewidth 2
}
