package grotto.bench;

import java.util.Arrays;
import java.util.Locale;

/** Prints figures as JSON lines. */
final class Report {
    private final String workload;
    private final int n;

    Report(String workload, int n) {
        this.workload = workload;
        this.n = n;
    }

    void print(String metric, int k, String unit, double... values) {
        if (values.length == 0) {
            return;
        }
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        double median = sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
        System.out.println(String.format(Locale.ROOT,
            "{\"engine\":\"hollow\",\"workload\":\"%s\",\"n\":%d,\"k\":%d,\"metric\":\"%s\",\"unit\":\"%s\","
                + "\"median\":%.4f,\"min\":%.4f,\"max\":%.4f,\"runs\":%d}",
            workload, n, k, metric, unit, median, sorted[0], sorted[sorted.length - 1], sorted.length));
        System.out.flush();
    }

    void digest(long initial, long changed) {
        System.out.println(String.format(Locale.ROOT,
            "{\"engine\":\"hollow\",\"workload\":\"%s\",\"n\":%d,\"initial\":\"%016x\",\"changed\":\"%016x\"}",
            workload, n, initial, changed));
        System.out.flush();
    }

    static double ms(long nanos) {
        return nanos / 1e6;
    }
}
