class Main {
    static volatile boolean done;

    static void spin() {
        while (!done) {
        }
    }

    public static void main(String[] arguments) {
        spin();
    }
}
