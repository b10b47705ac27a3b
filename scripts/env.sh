# To be sourced: `. scripts/env.sh`. Makes `python`, `spark-submit` and the rest of .venv the ones that are used, with a
# Java that can run Spark. From a shell other than bash or zsh, source it in the repository root.
_here=${BASH_SOURCE:-$0}
case $_here in
*/env.sh) _root=$(cd "$(dirname "$_here")/.." && pwd) ;;
*) _root=$PWD ;;
esac

if [ ! -x "$_root/.venv/bin/spark-submit" ]; then
    echo "scripts/env.sh: no environment in $_root/.venv; run scripts/setup.sh (or make setup) first" >&2
    unset _here _root
    return 1
fi
if ! JAVA_HOME=$("$_root/scripts/java_home.sh"); then
    echo "scripts/env.sh: no Java 17 or later; run scripts/setup.sh (or make setup), which installs one in .java" >&2
    unset _here _root JAVA_HOME
    return 1
fi
export JAVA_HOME
export PATH="$_root/.venv/bin:$PATH"
export PYSPARK_PYTHON="$_root/.venv/bin/python"
export PYSPARK_DRIVER_PYTHON="$PYSPARK_PYTHON"
# Of a Spark installed elsewhere, its version might not be ours.
SPARK_HOME=$("$PYSPARK_PYTHON" -c 'import importlib.util as u; print(u.find_spec("pyspark").submodule_search_locations[0])')
export SPARK_HOME
unset _here _root
