import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

class Main {
    public static void main(String[] arguments) {
        var scheduler = Executors.newScheduledThreadPool(2);
        scheduler.scheduleAtFixedRate(() -> System.out.println("cleanup"), 1, 1, TimeUnit.HOURS);
        System.out.println("context initialised");
    }
}
