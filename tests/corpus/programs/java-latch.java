import java.util.concurrent.CountDownLatch;

class Main {
    static void awaitStart(CountDownLatch started) throws InterruptedException {
        started.await();
    }

    public static void main(String[] arguments) throws InterruptedException {
        awaitStart(new CountDownLatch(1));
    }
}
