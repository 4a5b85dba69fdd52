package org.apache.iceberg.rest;

import java.net.InetSocketAddress;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.CatalogUtil;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;

/**
 * Iceberg's reference REST catalog on the loopback interface, over a database of SQLite and a warehouse in files: arguments
 * DATABASE WAREHOUSE PORT, both absolute paths, port 0 for any. Prints "listening on PORT" once it serves. It is in the
 * package of the classes that it puts together, which nobody else may see.
 */
public class ReferenceServer {
  public static void main(String[] arguments) throws Exception {
    Map<String, String> properties =
        Map.of(
            "catalog-impl", "org.apache.iceberg.jdbc.JdbcCatalog",
            "uri", "jdbc:sqlite:" + arguments[0],
            "jdbc.schema-version", "V1",
            "warehouse", "file://" + arguments[1],
            "io-impl", "org.apache.iceberg.hadoop.HadoopFileIO");
    var catalog = CatalogUtil.buildIcebergCatalog("reference", properties, new Configuration());
    var adapter =
        new RESTServerCatalogAdapter(new RESTCatalogServer.CatalogContext(catalog, properties));
    var context = new ServletContextHandler(ServletContextHandler.NO_SESSIONS);
    context.addServlet(new ServletHolder(new RESTCatalogServlet(adapter)), "/*");
    var server = new Server(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[2])));
    server.setHandler(context);
    server.start();
    System.out.println("listening on " + ((ServerConnector) server.getConnectors()[0]).getLocalPort());
    server.join();
  }
}
