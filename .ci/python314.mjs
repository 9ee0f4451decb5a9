// Run the suite's jumping-clock part on CPython 3.14, as the npm package pyodide ships it:
//
//     node .ci/python314.mjs PYODIDE PROJECT SITE TEST...
//
// PYODIDE is the folder of that package, SITE one of pure Python packages (`pip install --target`). There are no
// processes, threads and sockets there, and the host's own event loop counts as running between tests.
import { pathToFileURL } from "node:url";
import { resolve } from "node:path";

const [pyodide, project, site, ...tests] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(resolve(pyodide, "pyodide.mjs")));
const python = await loadPyodide();
python.mountNodeFS("/project", resolve(project));
python.mountNodeFS("/site", resolve(site));
python.globals.set("arguments", python.toPy(tests));
const code = python.runPython(`
import asyncio, os, re, sys, warnings
sys.path[:0] = ["/project", "/site"]
sys.dont_write_bytecode = True
os.chdir("/project")
import pytest

# What the host has not: a test that meets it is skipped, for nothing of ours decides it.
MISSING = re.compile("can't start new thread|stack switching not supported|cannot be called from a running event loop"
                     "|does not support processes|[Ss]ocket.* not supported|No module named")

# The host's own loop has another clock, the standard library's test case has no runner of its own there, and the host
# numbers the system's errors in its own way: a file that is not there is no errno 2.
OTHERWISE = re.compile("test_a_foreign_loop_on_the_process_clock|InUnittest|InAsyncSetUp|policy file that is not there")

class Host:
    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if not OTHERWISE.search(item.nodeid)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item):
        asyncio._set_running_loop(None)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item):
        asyncio._set_running_loop(None)
        try:
            return (yield)
        except Exception as error:
            if MISSING.search(str(error)):
                pytest.skip(f"not on this host: {error}")
            raise

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self):
        warnings.simplefilter("ignore")  # coroutines of the skipped tests, which were never awaited

int(pytest.main(["-q", "-p", "no:cacheprovider", "-o", "timeout=0", "-m", "not slow", "-p", "no:unraisableexception", *arguments], plugins=[Host()]))
`);
process.exit(code);
