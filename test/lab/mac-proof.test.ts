// The steps of the workflow for Macs, played here: stand-ins for a Mac's programs, doubles of its libraries, and a real
// smbd. What they print is right or wrong on a Mac alone; here each step has to run to its end.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path, { delimiter, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { parse } from "yaml";
import { missingForSmb } from "../../src/demo/stage/smb-available.ts";
import { buildDouble, doublesUnavailable } from "../doubles/build-double.ts";
import { bindingUnavailable } from "../shares/drivers/bound-shares.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { programMissing } from "../sync/programs.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const STAND_INS = path.join(import.meta.dirname, "mac-stand-ins");
const AS_ON_A_MAC = `--import=${path.join(STAND_INS, "as-on-a-mac.mjs")}`;
const STEP_MS = 120_000;

interface Step {
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly if?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const workflow: { readonly jobs: { readonly check: { readonly steps: readonly Step[] } } } = parse(
  await readFile(path.join(ROOT, ".github/workflows/macos.yml"), "utf8"),
);
const steps = workflow.jobs.check.steps;
const nameOf = (step: Step): string => step.name ?? step.run ?? step.uses ?? "";

const skip =
  (await missingForSmb("/nowhere")) ??
  (await doublesUnavailable()) ??
  (await bindingUnavailable()) ??
  (await programMissing("python3", "ip", "unshare")) ??
  false;

interface Played {
  readonly code: number;
  readonly output: string;
  /** What the part wrote for the artifact. */
  readonly report: (part: string) => Promise<string>;
}

/** In namespaces of its own: no address and no mount of it is seen elsewhere. */
async function play(
  t: TestContext,
  wanted: string,
  changes: (run: string) => string = (run) => run,
): Promise<Played> {
  const step = steps.find((one) => nameOf(one).startsWith(wanted));
  assert.ok(step?.run, `no step ${wanted}`);
  const folder = await temporaryFolder(t);
  const [home, volumes, reports] = ["home", "Volumes", "reports"].map((name) => join(folder, name));
  assert.ok(home && volumes && reports);
  await mkdir(join(folder, "exports/any/PROOF"), { recursive: true });
  for (const each of [home, volumes]) await mkdir(each);
  await writeFile(join(folder, "registry"), "");
  const netfs = await buildDouble("core-foundation.c", "netfs.c");
  const doubles = {
    netfs: { coreFoundation: netfs, netfs, system: netfs },
    getfsstat: await buildDouble("getfsstat.c"),
    libproc: await buildDouble("libproc.c"),
    env: {
      DOUBLE_EXPORTS: join(folder, "exports"),
      DOUBLE_VOLUMES: volumes,
      DOUBLE_REGISTRY: join(folder, "registry"),
      DOUBLE_PASSWORD: "secret word",
      DOUBLE_HANG: "@127.0.0.3:",
    },
  };
  await mkdir(join(home, "launchd"));
  await writeFile(join(home, "launchd/preload"), doubles.getfsstat);
  const shell = `ip link set lo up && ${changes(step.run)}`;
  const env = {
    PATH: [STAND_INS, process.env["PATH"]].join(delimiter),
    HOME: home,
    TMPDIR: process.env["TMPDIR"] ?? "/tmp",
    MAC_PROOF_REPORTS: reports,
    MAC_PROOF_DOUBLES: JSON.stringify(doubles),
    DOUBLE_REGISTRY: join(folder, "registry"),
    ...(wanted === "(e)" ? { NODE_OPTIONS: AS_ON_A_MAC } : {}),
  };
  const args = ["--net", "--mount", "bash", "-e", "-c", shell];
  const ended = await new Promise<{ code: number; output: string }>((resolve) =>
    execFile(
      "unshare",
      args,
      { cwd: ROOT, env, timeout: STEP_MS, killSignal: "SIGKILL" },
      (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), output: `${stdout}${stderr}` }),
    ),
  );
  return { ...ended, report: (part) => readFile(join(reports, `${part}.txt`), "utf8") };
}

test("the proof comes before the tests, and no part of it waits for another's success", () => {
  const names = steps.map(nameOf);
  assert.deepEqual(
    names.filter((name) => /^\([a-z]\)/.test(name)).map((name) => name.slice(0, 3)),
    ["(a)", "(b)", "(c)", "(d)", "(e)"],
  );
  assert.ok(names.findIndex((name) => name.startsWith("(e)")) < names.indexOf("Tests"));
  assert.ok(names.indexOf("Addresses on lo0") < names.indexOf("npm ci"));
  for (const step of steps.slice(names.indexOf("(a) Each adapter")))
    assert.equal(step.if, "always()", nameOf(step));
});

describe("the workflow's steps on stand-ins", { skip, timeout: 600_000 }, () => {
  test("the steps before the proof, and after it", async (t) => {
    for (const name of ["Addresses on lo0", "npm ci", "A NAS", "Tests"]) {
      const { code, output } = await play(t, name);
      assert.equal(code, 0, `${name}: ${output}`);
    }
    assert.equal((await play(t, "The page in Safari")).code, 1, "the stand-in ends it");
  });

  test("(a) and (b): the adapters of this system pass, and its events are received", async (t) => {
    const adapters = await play(t, "(a)");
    assert.match(
      await adapters.report("a-self-test"),
      /macOS.*26\.1.*Apple M2.*adapter "durable files" works/s,
    );
    const listener = await play(t, "(b)");
    assert.equal(listener.code, 0, listener.output);
    assert.match(await listener.report("b-listener"), /"lo got address 127\.0\.0\.10" after \d+ ms/);
  });

  test("(c) reports each status, and the silent server's mount is cancelled", async (t) => {
    const { code, output } = await play(t, "(c)");
    assert.equal(code, 0, output);
    assert.match(output, /share that is not there[^\n]*: status 2,/);
    assert.match(output, /wrong password[^\n]*: status 80,/);
    assert.match(output, /silent server[^\n]*: timed_out/);
  });

  test("(d) measures the folders, and reports each gap of the doubles with the fix", async (t) => {
    const { code, output } = await play(t, "(d)");
    assert.equal(code, 1, output);
    assert.match(output, /ok {6}the folder is gone within 3000 ms of each unmount: (\d+, ){19}\d+ ms/);
    assert.match(output, /ok {6}diskutil unmount force frees a mount whose server is silent/);
    const failed = output.split("\n").filter((line) => line.includes("FAILED"));
    assert.match(
      failed.join("\n"),
      /^.*FAILED {2}expected: libproc names this process.*What to do: compare.*$/,
    );
  });

  test("(e) plays the service from up to bootout", async (t) => {
    const { code, output } = await play(t, "(e)");
    assert.equal(code, 0, output);
    assert.match(output, /Login Items \(0\): UUID: 2; Name: service-keeper\.sh/);
  });
});
