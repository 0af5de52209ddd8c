// libproc over the double.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadKoffi } from "../../../src/network/native/core-foundation-darwin.ts";
import { createOpenFilesScanDarwin, loadLibproc } from "../../../src/shares/prober/open-files-darwin.ts";
import { buildDouble, doublesUnavailable } from "../../doubles/build-double.ts";
import { eventually } from "../../support/eventually.ts";

const skip = (await doublesUnavailable()) ?? false;

describe("libproc over the double", { skip }, async () => {
  if (skip !== false) return;
  const path = await buildDouble("libproc.c");
  const library = (await loadKoffi()).load(path);
  const setPids: (pids: Int32Array, count: number) => void = library.func(
    "void double_set_pids(const int32_t *, int)",
  );
  const noted: () => string = library.func("const char *double_noted()");
  const scan = createOpenFilesScanDarwin(() => loadLibproc(path));
  const ask = async (volume: string, exceptPids: readonly number[] = []) =>
    (await scan([{ paths: [volume], exceptPids }]))[0]?.[0];
  const holds = (...pids: readonly number[]): void => setPids(Int32Array.from([...pids, 0]), pids.length);

  it("A7 names who holds a volume, each once, without our own", async () => {
    holds(12, 34, 12, 0, process.pid, 56, 666);
    const answer = await ask("/Volumes/Größe x", [56]);
    assert.deepEqual(answer, {
      ok: true,
      hiddenProcesses: 0,
      files: [
        { pid: 12, command: "prögram-12", path: "/Volumes/Größe x", how: "fd" },
        { pid: 34, command: "prögram-34", path: "/Volumes/Größe x", how: "fd" },
        { pid: 666, command: "?", path: "/Volumes/Größe x", how: "fd" },
      ],
    });
    assert.equal(noted(), "1 0 3 /Volumes/Größe x");
  });

  it("A7 none is none, and a failure is unknown", async () => {
    holds();
    assert.deepEqual(await ask("/Volumes/core"), { ok: true, files: [], hiddenProcesses: 0 });
    setPids(Int32Array.from([0]), -1);
    assert.equal((await ask("/Volumes/core"))?.ok, false);
  });

  it("a path that hangs holds up a thread of the pool, never this one", async () => {
    holds(12);
    const asking = ask("/Volumes/hang");
    // It goes on hanging until this thread says otherwise.
    await eventually(() => noted().endsWith("/Volumes/hang"));
    library.func("void double_release()")();
    const answer = await asking;
    assert.ok(answer?.ok && answer.files.length === 1);
  });

  it("many asked at once are each answered", async () => {
    holds(12);
    const paths = Array.from({ length: 50 }, (_, index) => `/Volumes/${index}`);
    const [answers] = await scan([{ paths, exceptPids: [] }]);
    assert.deepEqual(
      answers?.map((answer) => (answer.ok ? answer.files[0]?.path : null)),
      paths,
    );
  });
});

it("on this system there is no libproc of macOS", { skip }, async () => {
  await assert.rejects(loadLibproc());
});
