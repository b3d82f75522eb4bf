class Main {
    private final Object loaded = new Object();

    void awaitLoaded() throws InterruptedException {
        synchronized (loaded) {
            loaded.wait();
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        new Main().awaitLoaded();
    }
}
