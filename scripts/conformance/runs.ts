// The runs of the official suites: the fixtures alone, the gateway as server, the gateway as client.
import { startCallingClient } from "../../test/mcp/conformance-calling.ts";
import { startSigningClient } from "../../test/mcp/conformance-signing.ts";
import {
  CONFORMANCE_MODERN_SERVER,
  CONFORMANCE_SERVER,
  openHttpFixture,
} from "../../test/mcp/fixture-programs.ts";
import { nodeBackend, openGatewayRig } from "../../test/mcp/gateway-rig.ts";
import {
  type Check,
  type ConformanceSuite,
  MODERN_SUITE,
  requirementsOf,
  runClientScenario,
  runConformance,
  SUITES,
} from "../../test/mcp/run-conformance.ts";
import type { Scope } from "../../test/support/temporary-folder.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";

export type Revision = "2025-11-25" | "2026-07-28";

export const FIXTURES: Readonly<Record<Revision, string>> = {
  "2025-11-25": CONFORMANCE_SERVER,
  "2026-07-28": CONFORMANCE_MODERN_SERVER,
};
const REVISIONS = ["2025-11-25", "2026-07-28"] as const;
/** `per client`: a process for each, which tells whose question it is however many calls wait for answers. */
const TRANSPORTS = ["stdio", "stdio per client", "HTTP"] as const;

export interface ServerRun {
  /** As `wanted` was asked for it. */
  readonly name: string;
  readonly suite: ConformanceSuite;
  /** Null: the fixture alone. */
  readonly behind: { readonly revision: Revision; readonly transport: (typeof TRANSPORTS)[number] } | null;
  readonly outcome: Outcome;
}

export interface ClientRun {
  readonly name: string;
  readonly scenario: string;
  readonly revision: Revision;
  /** What the client in front of the gateway speaks; null: a person at the command line. */
  readonly front: Revision | null;
  readonly passed: number;
  readonly failed: readonly string[];
}

/** Every suite alone, and through the gateway with each fixture behind each transport. */
export async function* serverRuns(wanted: (name: string) => boolean): AsyncGenerator<ServerRun> {
  for (const suite of [...SUITES, MODERN_SUITE]) {
    const { server } = await requirementsOf(suite.revision);
    // The older suite has no list of what counts: all of it does.
    const counted = (ran: Iterable<string>) => new Set(suite.version === "0.1.16" ? ran : server);
    const play = async (url: string) => {
      await using scope = openScope();
      return runConformance(scope, suite, url);
    };
    const alone = `${suite.version} ${suite.revision} alone`;
    if (wanted(alone)) {
      await using fixture = await openHttpFixture(FIXTURES[suite.revision]);
      const result = await play(fixture.url);
      const situation = { front: suite.revision, back: suite.revision, alone: true, shared: false };
      yield {
        name: alone,
        suite,
        behind: null,
        outcome: outcomeOf(result, counted(result.keys()), situation),
      };
    }
    for (const revision of REVISIONS)
      for (const transport of TRANSPORTS) {
        const isBridgedUp = suite.revision === "2026-07-28" && revision === "2025-11-25";
        if (transport === "stdio per client" && !isBridgedUp) continue;
        const name = `${suite.version} ${suite.revision} ${revision} ${transport}`;
        if (!wanted(name)) continue;
        await using fixture = await openHttpFixture(FIXTURES[revision]);
        const section =
          transport === "HTTP"
            ? { type: "streamable-http", url: fixture.url }
            : nodeBackend(FIXTURES[revision], ["--stdio"], {
                instances: transport === "stdio" ? "shared" : "per-client",
              });
        await using rig = await openGatewayRig({ backends: { fixture: section } });
        await rig.untilReady("fixture");
        const result = await play(rig.url);
        const shared = transport === "stdio";
        const situation = { front: suite.revision, back: revision, alone: false, shared };
        yield {
          name,
          suite,
          behind: { revision, transport },
          outcome: outcomeOf(result, counted(result.keys()), situation),
        };
      }
  }
}

/** The scenarios for clients, with the gateway's side towards its backends as the client. */
export async function* clientRuns(wanted: (name: string) => boolean): AsyncGenerator<ClientRun> {
  for (const revision of REVISIONS) {
    const { client, notScored } = await requirementsOf(revision);
    const more = ["json-schema-2020-12-preservation"].filter((name) => notScored.has(name));
    for (const scenario of [...client, ...more]) {
      const fronts = scenario.startsWith("auth/") ? [null] : REVISIONS;
      for (const front of fronts) {
        const name = `client ${revision} ${scenario} ${front ?? ""}`;
        if (!wanted(name)) continue;
        await using player =
          front === null
            ? await startSigningClient()
            : await startCallingClient(front === "2026-07-28" ? "modern" : "legacy");
        await using scope = openScope();
        const checks = await runClientScenario(scope, player.command, scenario, revision);
        yield { name, scenario, revision, front, ...judged(checks) };
      }
    }
  }
}

/** A scenario that checked nothing is not passed. */
function judged(checks: readonly Check[]): Pick<ClientRun, "passed" | "failed"> {
  const passed = checks.filter(({ status }) => status === "SUCCESS").length;
  const failed = checks
    .filter(({ status }) => status === "FAILURE")
    .map(({ id, errorMessage = "" }) => `${id}: ${errorMessage}`);
  return { passed, failed: passed + failed.length === 0 ? ["nothing was checked"] : failed };
}

/** Ends what was registered, in the order of registration. */
function openScope(): Scope & AsyncDisposable {
  const ends: (() => unknown)[] = [];
  return {
    after: (end) => void ends.push(end),
    async [Symbol.asyncDispose]() {
      for (const end of ends) await end();
    },
  };
}
