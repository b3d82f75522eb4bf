//! Whose code a frame is that a JVM told: its file has no folder, so the package says it.

use super::Kind;

/// Whose a function is, `java.net.Socket.connect`; `placed` when its line is known.
pub fn kind(function: &str, placed: bool) -> Kind {
    const RUNTIME: [&str; 11] = [
        "java.",
        "javax.",
        "jdk.",
        "sun.",
        "com.sun.",
        "org.graalvm.",
        "kotlin.",
        "kotlinx.coroutines.",
        "scala.",
        "groovy.lang.",
        "clojure.",
    ];
    if RUNTIME.iter().any(|start| function.starts_with(start)) {
        Kind::Runtime
    } else if JAVA_LIBRARIES.iter().any(|start| function.starts_with(start)) {
        Kind::Library
    } else if placed {
        Kind::Own
    } else {
        Kind::OwnUnplaced
    }
}

/// Packages of libraries and frameworks that services in Java, Kotlin and Scala are built of; sorted.
const JAVA_LIBRARIES: [&str; 95] = [
    "akka.",
    "brave.",
    "cats.",
    "ch.qos.logback.",
    "co.elastic.",
    "com.amazonaws.",
    "com.azure.",
    "com.codahale.",
    "com.datastax.",
    "com.fasterxml.",
    "com.github.benmanes.",
    "com.github.luben.",
    "com.google.",
    "com.ibm.",
    "com.lmax.",
    "com.microsoft.",
    "com.mongodb.",
    "com.mysql.",
    "com.netflix.",
    "com.oracle.",
    "com.rabbitmq.",
    "com.squareup.",
    "com.twitter.",
    "com.typesafe.",
    "com.zaxxer.",
    "feign.",
    "freemarker.",
    "gnu.",
    "io.confluent.",
    "io.dropwizard.",
    "io.grpc.",
    "io.helidon.",
    "io.jsonwebtoken.",
    "io.ktor.",
    "io.lettuce.",
    "io.micrometer.",
    "io.micronaut.",
    "io.nats.",
    "io.netty.",
    "io.opentelemetry.",
    "io.prometheus.",
    "io.quarkus.",
    "io.r2dbc.",
    "io.reactivex.",
    "io.smallrye.",
    "io.undertow.",
    "io.vertx.",
    "io.zipkin.",
    "jakarta.",
    "junit.",
    "kotlinx.",
    "liquibase.",
    "net.bytebuddy.",
    "net.sf.",
    "okhttp3.",
    "okio.",
    "oracle.",
    "org.apache.",
    "org.aspectj.",
    "org.bouncycastle.",
    "org.codehaus.",
    "org.eclipse.",
    "org.elasticsearch.",
    "org.flywaydb.",
    "org.glassfish.",
    "org.h2.",
    "org.hibernate.",
    "org.infinispan.",
    "org.jboss.",
    "org.jetbrains.",
    "org.jooq.",
    "org.junit.",
    "org.lwjgl.",
    "org.mariadb.",
    "org.mockito.",
    "org.mongodb.",
    "org.mybatis.",
    "org.opensearch.",
    "org.postgresql.",
    "org.quartz.",
    "org.redisson.",
    "org.rocksdb.",
    "org.slf4j.",
    "org.springframework.",
    "org.sqlite.",
    "org.thymeleaf.",
    "org.wildfly.",
    "org.xnio.",
    "org.yaml.",
    "play.",
    "reactor.",
    "redis.clients.",
    "retrofit2.",
    "software.amazon.",
    "zio.",
];

#[cfg(test)]
mod tests {
    use super::super::tests::{chosen, frame as native};
    use super::*;
    use crate::core::facts::{FoundBy, Frame};

    #[test]
    fn the_package_says_whose_a_java_frame_is() {
        let java = |function, file, line| Frame {
            found: FoundBy::Runtime,
            language: Some("java".to_owned()),
            ..native(function, file, line, "")
        };
        let frames = [
            native("Java_sun_nio_ch_Net_connect0", "", 0, "/usr/lib/jvm/lib/libnio.so"),
            java("sun.nio.ch.Net.connect0", "", 0),
            java("java.net.Socket.connect", "Socket.java", 633),
            java("redis.clients.jedis.Connection.connect", "Connection.java", 180),
            java("com.shop.Cache$$Lambda/0x00007f9d30000a08.run", "", 0),
            java("com.shop.Cache.open", "Cache.java", 42),
            java("org.springframework.boot.SpringApplication.run", "SpringApplication.java", 300),
            java("com.shop.Main.main", "Main.java", 7),
        ];
        assert_eq!(chosen(&frames).as_deref(), Some("com.shop.Cache.open"));
        assert_eq!(chosen(&frames[..5]).as_deref(), Some("com.shop.Cache$$Lambda/0x00007f9d30000a08.run"));
        assert_eq!(chosen(&frames[..4]).as_deref(), Some("redis.clients.jedis.Connection.connect"));
        assert_eq!(chosen(&frames[..3]), None);
        // A class without a package, and packages that only begin alike.
        assert_eq!(chosen(&[java("Shop.main", "Shop.java", 3)]).as_deref(), Some("Shop.main"));
        for own in ["javafoo.Main.main", "playground.Main.main", "com.sunrise.Main.main"] {
            assert_eq!(super::super::kind(&java(own, "Main.java", 3)), Kind::Own, "{own}");
        }
        assert!(JAVA_LIBRARIES.is_sorted());
        // Functions of other languages are not looked at in this way.
        assert_eq!(super::super::kind(&native("play.main", "main.c", 3, "/srv/api")), Kind::Own);
    }
}
