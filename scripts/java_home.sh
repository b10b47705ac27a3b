#!/bin/sh
# Print the JAVA_HOME that Spark should use: $JAVA_HOME, the one of PATH's java, or the one scripts/setup.sh made (.java).
# Exit status 1 and no output if none of them can run Spark: version 17 or later, with the module jdk.incubator.vector
# that Spark's launcher asks for (slim runtimes lack it).
set -u
root=$(cd "$(dirname "$0")/.." && pwd)

usable() { # usable JAVA -> prints its home
    found=$("$1" --add-modules=jdk.incubator.vector -XshowSettings:properties -version 2>&1 </dev/null) || return 1
    version=$(printf '%s\n' "$found" | sed -n 's/^ *java\.specification\.version = \([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge 17 ] || return 1
    printf '%s\n' "$found" | sed -n 's/^ *java\.home = //p'
}

if [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ] && usable "$JAVA_HOME/bin/java" >/dev/null; then
    printf '%s\n' "$JAVA_HOME"
elif on_path=$(command -v java) && home=$(usable "$on_path"); then
    printf '%s\n' "$home"
elif [ -x "$root/.java/bin/java" ] && usable "$root/.java/bin/java" >/dev/null; then
    printf '%s\n' "$root/.java" # not its java.home: bin/java there is the script that makes Spark's command line fit
else
    exit 1
fi
