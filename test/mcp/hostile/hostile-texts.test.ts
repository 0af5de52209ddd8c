// Texts of servers, clients and files that are made to hold the daemon's thread, grown by doubling: it goes on answering, and its
// memory comes back.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { pastedFile } from "../../../src/clients/pasted-servers.ts";
import { eventually } from "../../support/eventually.ts";
import { fc } from "../../support/properties.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import type { Json } from "../fixtures/scripted-server.ts";
import { type GatewayRig, nodeBackend, startGatewayRig } from "../gateway-rig.ts";
import { LightError } from "../light-client.ts";
import { ANSWERS, LISTS, PIECES, PROGRAMS, REQUESTS, repeated } from "./texts.ts";
import { slowness, watchThread } from "./thread-watch.ts";

const SERVER = path.join(import.meta.dirname, "server.ts");
/** `.ci/nightly` plays other texts, for 20 minutes. */
const SECONDS = Number(process.env["MOUNTAINEER_HOSTILE"] ?? "12");
const MOST_AWAY_MS = 100;
const MOST_GROWTH = 64 * 1024 * 1024;
const GIVEN_BACK_MS = 60_000;
const SIZES = [64, 128, 256, 512, 1_024].map((size) => size * 1_024);
/** Long texts, by kind of character: as JSON, a message may have 64 MiB. */
const LONG_PIECES = ['"', "\\", "\0", "ß", "\u{1f468}", "a"];
const LONG_MEBIBYTES = SECONDS > 60 ? [1, 4, 16, 32, 60] : [32];
/** Whatever the runtime compiles or collects is there once or twice, not each time. */
const MOST_TIMES = 4;
/** A thread that only answers pings uses less of 25 ms. */
const QUIET_MS = 12;
const SETTLES_MS = 5_000;
/** Lists that are refused bring no notice. */
const NOTICES_MS = 1_000;

interface Text {
  readonly kind: "list" | "answer" | "request" | "program" | "pasted";
  readonly place: string;
  readonly piece: string;
}

const places = (kind: Text["kind"], of: object) => Object.keys(of).map((place) => ({ kind, place }));
const PLACES = [
  ...places("list", LISTS),
  ...places("answer", ANSWERS),
  ...places("request", REQUESTS),
  ...places("program", PROGRAMS),
  { kind: "pasted", place: "pasted servers" } as const,
];

const TEXT: fc.Arbitrary<Text> = fc
  .record({
    at: fc.constantFrom(...PLACES),
    pieces: fc.array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 3 }),
  })
  .map(({ at, pieces }) => ({ ...at, piece: pieces.join("") }));

/** What the daemon has in memory that is not a file's. */
async function memoryOf(pid: number): Promise<number> {
  return Number(/RssAnon:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

async function start(t: TestContext): Promise<GatewayRig> {
  const policies = ["/etc/*", "/root/*/secret*", "*/.ssh/*/id_*"].map((glob) => ({
    effect: "deny",
    resources: ["tool:give"],
    arguments: { path: [glob], paths: [glob], any: [glob] },
  }));
  const rig = await startGatewayRig(t, {
    backends: {
      hostile: nodeBackend(SERVER, [], { folders: ["/tmp"] }),
      program: nodeBackend(SERVER, [path.join(await temporaryFolder(t), "said")], { start: "on-demand" }),
    },
    more: { authorization: { default_effect: "allow", policies }, trust: { approve: "none" } },
  });
  await rig.untilReady("hostile");
  await rig.untilBackend("program", ({ phase }) => phase === "Asleep");
  return rig;
}

test("E4 no text of a server or client holds the daemon's thread for 100 ms, or stays in its memory", async (t) => {
  const rig = await start(t);
  const client = await rig.connect();
  await client.listen();
  for (const uri of ["files://a", "files://b"]) await client.request("resources/subscribe", { uri });
  await using watch = await watchThread(rig.url, rig.pid);

  const ask = async (method: string, params: Json): Promise<void> => {
    await client.ask(method, params).catch((error) => {
      if (!(error instanceof LightError)) throw error;
    });
  };
  const play: Readonly<Record<Text["kind"], (text: Text, size: number) => Promise<void>>> = {
    async list({ place, piece }, size) {
      const heard = client.notices.length + 3;
      await ask("tools/call", { name: "become", arguments: { made: [place, piece, size] } });
      await eventually(async () => (await client.call("asked")) !== "0");
      const untilMs = performance.now() + NOTICES_MS;
      while (client.notices.length < heard && performance.now() < untilMs) await pause(5);
    },
    answer: ({ place, piece }, size) =>
      ask("tools/call", { name: "give", arguments: { made: [place, piece, size] } }),
    request({ place, piece }, size) {
      const [method = "", params = {}] = REQUESTS[place]?.(piece, size) ?? [];
      return ask(method, params);
    },
    program: ({ place, piece }, size) =>
      ask("tools/call", { name: "say", arguments: { made: [place, piece, size] } }),
    // Read by a program of its own, from the daemon; here by this thread.
    async pasted({ piece }, size) {
      const surroundings = { userHome: "/nowhere", environment: {}, folder: "/" };
      await pastedFile(repeated(piece, Math.min(size, 256 * 1_024)), surroundings, new Set()).catch(() => {});
    },
  };
  /** Plays it once; resolves with how long a thread was away, ms. */
  const awayFor = async (text: Text, size: number): Promise<number> => {
    await watch.look();
    const before = process.threadCpuUsage();
    await play[text.kind](text, size);
    const { user, system } = process.threadCpuUsage(before);
    if (text.kind === "pasted") return (user + system) / 1_000;
    let away = 0;
    const untilMs = performance.now() + SETTLES_MS;
    for (let quiet = 0; quiet < 2 && performance.now() < untilMs; ) {
      await pause(25);
      const { awayMs, usedMs } = await watch.look();
      away = Math.max(away, awayMs);
      quiet = usedMs < QUIET_MS ? quiet + 1 : 0;
    }
    return away;
  };

  for (const { kind, place } of PLACES) await awayFor({ kind, place, piece: "a" }, 64 * 1_024);
  const before = await memoryOf(rig.pid);
  const held: string[] = [];
  const seed = SECONDS > 60 ? Date.now() : 20261129;
  for (const piece of LONG_PIECES)
    for (const mebibytes of LONG_MEBIBYTES) {
      const size = piece.length * Math.floor((mebibytes * 1_048_576) / (JSON.stringify(piece).length - 2));
      const text = { kind: "answer", place: "a result's text", piece } as const;
      let away = Number.POSITIVE_INFINITY;
      for (let times = 0; times < MOST_TIMES && away > MOST_AWAY_MS * slowness(); times++)
        away = Math.min(away, await awayFor(text, size));
      if (away > MOST_AWAY_MS * slowness())
        held.push(`a result of ${mebibytes} MiB of ${JSON.stringify(piece)}: ${Math.round(away)} ms`);
    }
  const texts = fc.sample(TEXT, { numRuns: SECONDS * 10, seed });
  const endMs = performance.now() + SECONDS * 1_000;
  let played = 0;
  for (const text of texts) {
    if (performance.now() > endMs) break;
    played += 1;
    for (const size of SIZES) {
      let away = Number.POSITIVE_INFINITY;
      const most = MOST_AWAY_MS * slowness();
      for (let times = 0; times < MOST_TIMES && away > most; times++)
        away = Math.min(away, await awayFor(text, size));
      if (away <= most) continue;
      held.push(
        `${text.place}, of ${JSON.stringify(text.piece)}, ${size} characters: ${Math.round(away)} ms`,
      );
      break;
    }
  }
  t.diagnostic(`${played} texts, seed ${seed}`);
  assert.deepEqual(held, []);
  await play.list({ kind: "list", place: "", piece: "" }, 0);
  await eventually(async () => (await memoryOf(rig.pid)) <= before + MOST_GROWTH, GIVEN_BACK_MS, 1_000);
});
