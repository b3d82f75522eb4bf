class Main {
    static int port(String text) {
        return Integer.parseInt(text);
    }

    public static void main(String[] arguments) {
        port("eighty");
    }
}
