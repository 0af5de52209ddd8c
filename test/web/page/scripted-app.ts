// An app for the page's views, with answers of the test's and a person who says yes or no.
import type { ComponentChild } from "preact";
import type { OperationName } from "../../../src/api/operations/operations.ts";
import { configJsonSchema } from "../../../src/config/schema/schema.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { EMPTY_STATE, type PageState } from "../../../src/web/page/daemon/live.ts";
import { createStore } from "../../../src/web/page/daemon/store.ts";
import type { App, Undo } from "../../../src/web/page/parts/app.ts";
import {
  sampleApprovals,
  sampleConfig,
  sampleEdit,
  sampleEntry,
  sampleSyncReport,
} from "../../api/sample-config.ts";
import { sampleFleet } from "../../api/sample-fleet.ts";
import {
  gatewayReport,
  sampleAudit,
  sampleCatalog,
  sampleClient,
  samplePerson,
  sampleToolChange,
} from "../../api/sample-gateway.ts";
import { SAMPLE_NOW, sampleResult, sampleShare, secondsAgo } from "../../api/sample-report.ts";

type Answers = Partial<Record<OperationName, unknown>>;

const LINE = { at: secondsAgo(5), level: "warn", message: "share.failover", fields: { share: "CORE" } };
const DAY = [{ from: secondsAgo(3_600), to: new Date(SAMPLE_NOW).toISOString(), impact: "fine" }];

const ANSWERS: Answers = {
  audit: sampleAudit({ more: false, next: null }),
  catalog: sampleCatalog(),
  clients: { clients: [sampleClient()] },
  knownClients: {
    clients: [
      {
        name: "cursor",
        title: "Cursor",
        path: "/home/ann/.cursor/mcp.json",
        connected: false,
        problem: null,
      },
      { name: "zed", title: "Zed", path: "/z", connected: null, problem: "/z is not JSON" },
    ],
  },
  config: sampleConfig(),
  daemonLog: { path: "/l", lines: [LINE], more: false, next: null },
  edit: sampleEdit(),
  fleet: sampleFleet(),
  history: { entries: [sampleEntry(0), sampleEntry(1)] },
  historyText: "# before\n",
  people: { people: [samplePerson()] },
  secrets: {
    secrets: [{ name: "nas", kept: null, used_by: ["share CORE"] }],
    config_error: null,
  },
  numbers: {
    ...{ to: new Date(SAMPLE_NOW).toISOString(), servers_omitted: 0 },
    shares: [{ name: "CORE", day: DAY, moves_hour: 0, waits_hour: 0, read_mb_s: 104, written_mb_s: 0.5 }],
    servers: [
      {
        ...{ name: "files", day: DAY, calls_hour: 41, errors_hour: 2, p99_ms: 31.2 },
        ...{ spark: [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 30, 10], last_used: secondsAgo(120) },
      },
    ],
  },
  // A canvas needs a browser.
  series: new MountaineerError("permission_denied", "not yours to see"),
  toolChanges: { changes: [sampleToolChange()], unseen: [], lost: null },
};

export interface Scripted extends App {
  /** Requests that change something, as JSON; titles of questions; and what was told. */
  readonly log: string[];
  /** Of what was told last; null: nothing is offered. */
  undo: Undo | null;
  /** Of the last question. */
  body: ComponentChild;
}

/** `yes`: what the person says to each question. An answer that is an error rejects, and a list is one answer
 * after the other. */
export function scriptedApp(
  answers: Answers = {},
  state: Partial<PageState> = {},
  yes = true,
  meanwhile = (): void => {},
): Scripted {
  const log: string[] = [];
  const given: Answers = { ...ANSWERS, ...answers };
  const ask = async (name: OperationName, input?: unknown): Promise<unknown> => {
    if (!(name in ANSWERS) || name === "edit") log.push(`${name} ${JSON.stringify(input)}`);
    const answer = given[name] ?? { results: [sampleResult()] };
    const value = Array.isArray(answer) ? answer.shift() : answer;
    if (value instanceof Error) throw value;
    return value;
  };
  const never = () => Promise.reject(new Error("not asked for here"));
  const app: Scripted = {
    log,
    store: createStore<PageState>({
      ...EMPTY_STATE,
      session: { expiresAt: null, mayRunCommands: true, ownerUntil: null },
      link: { kind: "live" },
      status: gatewayReport(undefined, { shares: [sampleShare()] }),
      sync: sampleSyncReport(),
      approvals: sampleApprovals(),
      ...state,
    }),
    // Each answer is of the operation that the test says.
    requests: {
      call: ask as App["requests"]["call"],
      ...{ openEvents: never, session: never, signIn: never, signOut: never },
      ...{ requestOwner: never, takeOwner: never, dropOwner: never },
      configSchema: async () => configJsonSchema(),
    },
    async confirm({ title, body, outdated }) {
      log.push(`? ${title}`);
      app.body = body;
      // What comes while the question is open.
      meanwhile();
      const reason = outdated?.(app.store.get()) ?? null;
      if (reason !== null) log.push(`! ${reason}`);
      return yes && reason === null;
    },
    undo: null,
    body: null,
    notify(tone, text, undo) {
      log.push(`${tone}: ${text}`);
      app.undo = undo ?? null;
    },
    async attempt(what, work) {
      try {
        await work();
        return true;
      } catch (error) {
        if (!(error instanceof MountaineerError)) throw error;
        log.push(`bad: ${what}: ${error.message}`);
        return false;
      }
    },
    refresh() {},
  };
  return app;
}
