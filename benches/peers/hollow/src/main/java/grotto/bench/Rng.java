package grotto.bench;

/** Numbers and text from integers: the same in every language. Arithmetic is on unsigned words that wrap around. */
final class Rng {
    private static final long STEP = 0x9E3779B97F4A7C15L;
    static final int WORDS = 4096;
    private static final String[] VOCABULARY = vocabulary();

    private long state;

    Rng(long seed) {
        state = seed;
    }

    private static long finish(long z) {
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    /** Spreads a word over all words, one to one. */
    static long mix(long x) {
        return finish(x + STEP);
    }

    /** The primary key of the record with an index. */
    static long id(long index) {
        return mix(index) >>> 1;
    }

    /** The stream of fields that never change. */
    static Rng fixed(long index) {
        return new Rng(mix(index ^ 0x5354415449430000L));
    }

    /** The stream of fields that change with a record's revision. */
    static Rng changing(long index, long revision) {
        return new Rng(mix(mix(index ^ 0x44594E414D494300L) + revision));
    }

    long next() {
        state += STEP;
        return finish(state);
    }

    /** A number below n. */
    int below(long n) {
        return (int) belowLong(n);
    }

    long belowLong(long n) {
        return (next() >>> 1) % n;
    }

    private static String[] vocabulary() {
        String[] words = new String[WORDS];
        for (int w = 0; w < WORDS; w++) {
            Rng rng = new Rng(0x574F524400000000L + w);
            StringBuilder word = new StringBuilder();
            for (int syllables = 1 + rng.below(3); syllables > 0; syllables--) {
                word.append("bcdfghjklmnprstvwxyz".charAt(rng.below(20)));
                word.append("aeiou".charAt(rng.below(5)));
                if (rng.below(4) == 0) {
                    word.append("nrstlm".charAt(rng.below(6)));
                }
            }
            words[w] = word.toString();
        }
        return words;
    }

    static String word(int w) {
        return VOCABULARY[w];
    }

    /** A random word. */
    String word() {
        return VOCABULARY[below(WORDS)];
    }

    /** Words with spaces between them, cut to a length of low to low + span - 1. */
    String text(int low, int span) {
        int length = low + below(span);
        StringBuilder text = new StringBuilder(length + 12);
        while (text.length() < length) {
            if (text.length() > 0) {
                text.append(' ');
            }
            text.append(word());
        }
        return text.substring(0, length);
    }

    /** Count different numbers below n, in the order drawn. */
    int[] distinct(int count, int n) {
        int[] taken = new int[count];
        int found = 0;
        drawing:
        while (found < count) {
            int drawn = below(n);
            for (int i = 0; i < found; i++) {
                if (taken[i] == drawn) {
                    continue drawing;
                }
            }
            taken[found++] = drawn;
        }
        return taken;
    }

    /** FNV-1a in 64 bits of text in ASCII. */
    static long hash(String text) {
        long hash = 0xcbf29ce484222325L;
        for (int i = 0; i < text.length(); i++) {
            hash = (hash ^ text.charAt(i)) * 0x100000001b3L;
        }
        return hash;
    }
}
