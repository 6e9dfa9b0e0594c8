import java.util.List;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.knn.plugin.KNNPlugin;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/** OpenSearch starts one node with the k-NN plugin, by settings that are its arguments, name=value. */
public final class OpenSearch extends Node {
    private OpenSearch(Settings settings) {
        super(new Environment(settings, null), List.of(Netty4Plugin.class, KNNPlugin.class), false);
    }

    public static void main(String[] args) throws Exception {
        Settings.Builder settings = Settings.builder();
        for (String arg : args) {
            settings.put(arg.substring(0, arg.indexOf('=')), arg.substring(arg.indexOf('=') + 1));
        }
        new OpenSearch(settings.build()).start();
        Thread.currentThread().join(); // a node's own threads do not keep the process alive
    }
}
