// `mountaineer why SERVER`, for real servers of a whole service: the rule and the reason that the decision names.
import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { backendWhy, type Why } from "../../src/api/labels/why.ts";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { createServiceRig, NEVER } from "./service-rig.ts";

/** Five failed starts, with a wait after each. */
const OPENS_MS = 60_000;

test("F7 `why` names the rule of a server that sleeps, drains, lacks its data, or failed five times", async (t) => {
  const rig = await createServiceRig(t);
  const shares = await rig.config(["MEDIA"]);
  const port = await freePort();
  const program = (name: string, args: readonly string[] = [], more = ""): string =>
    `[backends.${name}]\ncommand = ${JSON.stringify(process.execPath)}\nargs = ${JSON.stringify([LIGHT_SERVER, ...args])}\n${more}\n`;
  const text = (edit: string): string =>
    [
      shares,
      `[server]\nport = ${port}`,
      program("sleeper", [], 'start = "on-demand"'),
      program("editor", [edit], 'env = { LIGHT_PREFIX = "edit_" }'),
      program("archive", [], 'requires = ["MEDIA"]\nunavailable_after_secs = 0'),
      '[backends.broken]\ncommand = "/bin/sh"\nargs = ["-c", "echo no such database >&2; exit 3"]\n',
    ].join("\n");
  await rig.write(text("first"));
  const { service } = await rig.start();
  const { control } = service;
  const untilWhy = async (name: string, holds: (why: Why) => boolean, deadlineMs?: number): Promise<Why> => {
    let last: Why | null = null;
    try {
      return await eventually(() => {
        const backend = control.status().backends?.find((one) => one.name === name);
        last = backend === undefined ? null : backendWhy(backend);
        return last !== null && holds(last) && last;
      }, deadlineMs);
    } catch (error) {
      throw new Error(`${name}: ${JSON.stringify(last)}`, { cause: error });
    }
  };
  const passes = (why: Why, rule: string, reason: RegExp): boolean =>
    why.passed_over.some((one) => one.rule === rule && reason.test(one.why));

  const asleep = await untilWhy("sleeper", ({ rule }) => rule === "sleep");
  assert.ok(passes(asleep, "start", /no client needs it; a call starts it/), JSON.stringify(asleep));

  await untilWhy("archive", ({ rule }) => rule === "serve calls");
  for (const route of ["tb", "fallback"])
    await rename(join(rig.folder, `MEDIA-${route}`), join(rig.folder, `away-${route}`));
  const hidden = await untilWhy("archive", ({ rule }) => rule === "hide its tools");
  assert.match(hidden.why, /share MEDIA is away: /);

  await untilWhy("editor", ({ rule }) => rule === "serve calls");
  const end = join(rig.folder, "end");
  const call = control.call({ tool: "edit_sleep", arguments: { until: end, text: "answered" } }, NEVER);
  await eventually(() =>
    control.status().backends?.some((one) => one.name === "editor" && one.in_flight > 0),
  );
  await rig.write(text("second"));
  const draining = await untilWhy("editor", (why) => passes(why, "end the old instance", /no answer yet/));
  assert.equal(draining.rule, "serve calls");
  await writeFile(end, "");
  assert.match(JSON.stringify((await call).result), /answered/);
  await untilWhy("editor", ({ passed_over: rules }) => rules.length === 0);

  const isOpen = ({ conditions }: Why): boolean => conditions.some(({ code }) => code === "circuit_open");
  const open = await untilWhy("broken", isOpen, OPENS_MS);
  assert.equal(open.rule, "wait for the next try");
  const start = open.passed_over.find(({ rule }) => rule === "start");
  assert.match(start?.why ?? "", /no such database/);
  const waitMs = Date.parse(start?.until ?? "") - Date.now();
  assert.ok(waitMs > 0 && waitMs <= 61_000, `due in ${waitMs} ms`);
});
