#!/bin/sh
# See to it that Java >= 17, Maven and RabbitMQ are there: the tests run real brokers.
# What is missing is installed from Debian's packages where that needs no password.
set -eu

java_is_new_enough() {
    # "17.0.15", "21", "1.8.0_402": the first number is the version, save for the oldest.
    version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${version:-0}" -ge 17 ]
}

# On Debian's PATH it is for root alone.
rabbitmq_is_there() {
    command -v rabbitmq-server >/dev/null || [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]
}

missing() {
    java_is_new_enough || echo java
    mvn --version >/dev/null 2>&1 || echo maven
    rabbitmq_is_there || echo rabbitmq
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
    command -v apt-get >/dev/null && as_root true 2>/dev/null
}

debian_packages() {
    for name in $1; do
        case $name in
        maven) echo maven ;;
        rabbitmq) echo rabbitmq-server ;;
        java)
            for version in 21 17 25; do
                # Not `apt-cache show`: it knows packages that others only mention, too.
                if apt-cache policy "openjdk-$version-jre-headless" | grep -q 'Candidate: [0-9]'; then
                    echo "openjdk-$version-jre-headless"
                    break
                fi
            done
            ;;
        esac
    done
}

# Debian starts a server as it installs it; the tests start one of their own, on a free port.
keep_still() {
    case $1 in
    *rabbitmq*) as_root systemctl disable --quiet --now rabbitmq-server >/dev/null 2>&1 || true ;;
    esac
}

lacking=$(missing)
[ -z "$lacking" ] && exit 0

if may_install; then
    echo "Installing, for the tests' Kafka and RabbitMQ:" $lacking
    as_root apt-get update -qq || true
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends $(debian_packages "$lacking") >/dev/null || true
    keep_still "$lacking"
fi

lacking=$(missing)
if [ -n "$lacking" ]; then
    echo "The tests run a real Kafka, which needs Java 17 or newer and Maven, and a real RabbitMQ." >&2
    echo "Missing:" $lacking >&2
    echo "Install them, and run this again:" >&2
    echo "  Debian, Ubuntu:  sudo apt-get install openjdk-17-jre-headless maven rabbitmq-server" >&2
    echo "  Fedora:          sudo dnf install java-21-openjdk-headless maven rabbitmq-server" >&2
    echo "  macOS:           brew install openjdk maven rabbitmq" >&2
    exit 1
fi
