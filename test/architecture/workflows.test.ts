// What GitHub runs is what the project has: its scripts, its commands, its version.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { access, constants, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { parse } from "yaml";
import { releaseNotes } from "../../scripts/release-notes.ts";

const ROOT = resolve(import.meta.dirname, "../..");

interface Job {
  readonly "runs-on": string;
  readonly needs?: string;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly strategy?: { readonly matrix: { readonly os: readonly string[] } };
  readonly steps: readonly { readonly run?: string; readonly uses?: string; readonly if?: string }[];
}

async function jobsOf(workflow: string): Promise<Readonly<Record<string, Job>>> {
  return parse(await readFile(join(ROOT, ".github/workflows", workflow), "utf8")).jobs;
}

const runsOf = (job: Job | undefined): string[] => (job?.steps ?? []).flatMap(({ run }) => run ?? []);

describe("workflows", () => {
  test("Linux runs what .ci/run does everywhere", async () => {
    const { check } = await jobsOf("linux.yml");
    assert.ok(runsOf(check).includes(".ci/run"));
    await access(join(ROOT, ".ci/run"), constants.X_OK);
  });

  test("a Mac installs, runs the tests, and hands out what its self-test found, whatever failed", async () => {
    const { check } = await jobsOf("macos.yml");
    assert.ok(check?.strategy?.matrix.os.every((os) => os.startsWith("macos-")));
    const runs = runsOf(check).join("\n");
    assert.match(runs, /npm test/);
    assert.match(runs, /mountaineer doctor --self-test --json > self-test\.json/);
    const handsOut = check?.steps.find(({ uses }) => uses?.startsWith("actions/upload-artifact@"));
    assert.equal(handsOut?.if, "always()");
  });

  test("a release is checked first, and published with its provenance", async () => {
    const { check, publish } = await jobsOf("release.yml");
    assert.ok(runsOf(check).includes(".ci/run"));
    assert.equal(publish?.needs, "check");
    assert.equal(publish?.permissions?.["id-token"], "write");
    assert.ok(runsOf(publish).some((run) => run.startsWith("npm publish --provenance ")));
  });
});

describe("release notes", () => {
  const program = join(ROOT, "scripts/release-notes.ts");
  const run = (tag: string) => promisify(execFile)(process.execPath, [program, tag]);

  test("are the version's part of the changelog", async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
    assert.match((await run(`v${version}`)).stdout, /^### Added\n/);
    const changelog = "# Changes\n\n## [2.0.0] - 2026-01-02\n\n- two\n\n## [1.0.0] - 2026-01-01\n\n- one\n";
    assert.equal(releaseNotes(changelog, "2.0.0"), "- two\n");
    assert.equal(releaseNotes(changelog, "1.0.0"), "- one\n");
  });

  test("a tag that is not the version, or a version without a word, is refused", async () => {
    await assert.rejects(run("v9.9.9"), /the tag is v9\.9\.9, and package\.json says/);
    assert.throws(() => releaseNotes("## [1.0.0] - 2026-01-01\n\n", "1.0.0"), /says nothing of 1\.0\.0/);
  });
});
