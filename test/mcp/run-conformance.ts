// Runs the official conformance suites against a URL.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { parse } from "yaml";
import { type Scope, temporaryFolder } from "../support/temporary-folder.ts";

const MODULES = path.resolve(import.meta.dirname, "../../node_modules");

export interface ConformanceSuite {
  readonly version: string;
  /** Whose messages are spoken. */
  readonly revision: "2025-11-25" | "2026-07-28";
  readonly program: string;
  readonly args: readonly string[];
  /** Checks that the fixture of that revision passes when it is asked directly. */
  readonly alone: number;
}

const OLDER_SUITE = path.join(MODULES, "conformance-0-1/dist/index.js");
export const NEWER_SUITE = path.join(MODULES, "conformance-0-2/dist/index.js");

/** For servers of 2025-11-25. */
export const SUITES: readonly ConformanceSuite[] = [
  {
    version: "0.1.16",
    revision: "2025-11-25",
    program: OLDER_SUITE,
    args: ["--suite", "all"],
    alone: 44,
  },
  {
    version: "0.2.0-alpha.12",
    revision: "2025-11-25",
    program: NEWER_SUITE,
    args: ["--requirements", "2025-11-25"],
    alone: 81,
  },
];

/** For servers of 2026-07-28. */
export const MODERN_SUITE: ConformanceSuite = {
  version: "0.2.0-alpha.12",
  revision: "2026-07-28",
  program: NEWER_SUITE,
  args: ["--requirements", "2026-07-28"],
  alone: 196,
};

/** The one scenario of a suite, of an extension too; its `alone` is not known. */
export function onlyScenario(suite: ConformanceSuite, scenario: string): ConformanceSuite {
  return { ...suite, args: ["--scenario", scenario, "--spec-version", suite.revision, "--force"] };
}

interface Requirements {
  /** Scenarios that count. */
  readonly server: readonly string[];
  readonly client: readonly string[];
  /** Run, but not counted: extensions, and what no fixture passes yet. */
  readonly notScored: ReadonlyMap<string, string>;
}

/** What the newer suite wants of a revision. */
export async function requirementsOf(revision: string): Promise<Requirements> {
  const file = path.join(MODULES, `conformance-0-2/requirements/${revision}.yaml`);
  const { server, client, not_scored: others } = parse(await readFile(file, "utf8"));
  return {
    server,
    client,
    notScored: new Map(
      others.map(({ scenario, reason }: { scenario: string; reason: string }) => [scenario, reason]),
    ),
  };
}

const DEADLINE_MS = 300_000;

export interface Check {
  readonly id: string;
  /** `SUCCESS`, `FAILURE`, `WARNING`, `INFO`, `SKIPPED`. */
  readonly status: string;
  readonly errorMessage?: string;
}

/** Checks by scenario, in its order. */
export type ConformanceResult = ReadonlyMap<string, readonly Check[]>;

/** Runs a whole suite. Rejects when it says nothing in five minutes; failed checks are part of the result. */
export async function runConformance(
  t: Scope,
  suite: ConformanceSuite,
  url: string,
): Promise<ConformanceResult> {
  const folder = await temporaryFolder(t);
  const args = [suite.program, "server", "--url", url, ...suite.args, "--output-dir", folder];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "ignore", "inherit"],
    timeout: DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  await once(child, "exit");
  const result = new Map<string, readonly Check[]>();
  for (const entry of (await readdir(folder)).sort()) {
    const scenario = /^server-(.+)-\d{4}-\d\d-\d\dT.*Z$/u.exec(entry)?.[1];
    if (scenario === undefined) continue;
    result.set(scenario, JSON.parse(await readFile(path.join(folder, entry, "checks.json"), "utf8")));
  }
  if (result.size === 0) throw new Error(`suite ${suite.version} ran no scenario against ${url}`);
  return result;
}

/** Counted as the suites count: warnings and information are neither. */
export function totals(result: ConformanceResult): { readonly passed: number; readonly failed: number } {
  const all = [...result.values()].flat();
  const count = (status: string): number => all.filter((check) => check.status === status).length;
  return { passed: count("SUCCESS"), failed: count("FAILURE") };
}

/** One scenario with the client that `command` starts. Failed checks are part of the result. */
export async function runClientScenario(
  t: Scope,
  command: string,
  scenario: string,
  specVersion: string | null,
): Promise<readonly Check[]> {
  const folder = await temporaryFolder(t);
  // A scenario of a later revision may be about signing in: the messages are those of the revision that is asked for.
  const version = specVersion === null ? [] : ["--spec-version", specVersion, "--force"];
  const args = [
    NEWER_SUITE,
    "client",
    "--command",
    command,
    "--scenario",
    scenario,
    ...version,
    "--output-dir",
    folder,
    "--timeout",
    "120000",
  ];
  const child = spawn(process.execPath, args, {
    stdio: "ignore",
    timeout: DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  await once(child, "exit");
  const names = await readdir(folder, { recursive: true });
  const checks = names.find((name) => path.basename(name) === "checks.json");
  if (checks === undefined) throw new Error(`the suite wrote nothing about ${scenario}`);
  return JSON.parse(await readFile(path.join(folder, checks), "utf8"));
}
