"""A Spark session with Iceberg and our catalog as `dailies`; `SPARK_EXTRA` holds more settings as JSON."""

import glob
import json
import os
import sys

os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
os.environ["TZ"] = "UTC"
os.environ["PYSPARK_PYTHON"] = sys.executable

from pyspark.sql import SparkSession  # noqa: E402


def open_session(uri, token):
    [jar] = glob.glob(f"{sys.prefix}/jars/iceberg-spark-runtime-*.jar")
    settings = {
        "spark.driver.memory": "1g",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraJavaOptions": "-Duser.timezone=UTC",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.jars": jar,
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.catalog.dailies": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.dailies.type": "rest",
        "spark.sql.catalog.dailies.uri": uri,
        "spark.sql.catalog.dailies.token": token,
        "spark.sql.catalog.dailies.warehouse": "dailies",
        "spark.sql.catalog.dailies.cache-enabled": "false",
        "spark.sql.catalog.dailies.io-impl": "org.apache.iceberg.hadoop.HadoopFileIO",
        **json.loads(os.environ.get("SPARK_EXTRA", "{}")),
    }
    builder = SparkSession.builder.master("local[2]").appName("dailies")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session
