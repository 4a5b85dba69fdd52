package org.apache.iceberg.rest;

import static org.assertj.core.api.Assumptions.assumeThat;

import org.apache.iceberg.catalog.Namespace;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The kit's tests of a catalog, with those switched on that no setting of the kit switches on. */
public class WidenedCatalogTests extends RESTCompatibilityKitCatalogTests {
  @Override
  protected boolean supportsNestedNamespaces() {
    return true;
  }

  @Override
  protected boolean supportsNamesWithSlashes() {
    return true;
  }

  // The kit leaves the namespaces of its nested tests behind.
  @AfterEach
  void dropNested() {
    for (Namespace top : catalog().listNamespaces()) {
      if (!RCKUtils.TEST_NAMESPACES.contains(top)) dropWhole(top);
    }
  }

  private void dropWhole(Namespace namespace) {
    for (Namespace nested : catalog().listNamespaces(namespace)) dropWhole(nested);
    if (catalog().listTables(namespace).isEmpty()) catalog().dropNamespace(namespace);
  }

  // The kit switches it off for every catalog: the reference server puts tables of one name into one folder.
  @Test
  @Override
  public void createTableInUniqueLocation() {
    super.createTableInUniqueLocation();
  }

  @Test
  @Override
  public void testConcurrentCreateTransaction() {
    assumeThat(supportsServerSideRetry()).as("Only a server that never tries again says it in these words").isTrue();
    super.testConcurrentCreateTransaction();
  }
}
