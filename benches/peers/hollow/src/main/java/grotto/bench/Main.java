package grotto.bench;
final class Main { public static void main(String[] a) {} }
