import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

class Main {
    static String loadConfig(CompletableFuture<String> config) throws ExecutionException, InterruptedException {
        return config.thenApply(String::trim).get();
    }

    public static void main(String[] arguments) throws Exception {
        loadConfig(new CompletableFuture<>());
    }
}
