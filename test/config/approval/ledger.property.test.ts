// What runs after random edits by a person and by others, against a ledger: what a person chose last under each name.
import assert from "node:assert/strict";
import test from "node:test";
import {
  type Approvals,
  applyApprovals,
  withApproved,
} from "../../../src/config/approval/apply-approvals.ts";
import { editedEntries } from "../../../src/config/approval/edited-entries.ts";
import type { BackendConfig, MountaineerConfig } from "../../../src/config/snapshot.ts";
import { fc, runsOf } from "../../support/properties.ts";
import { accepted } from "../support.ts";
import { GROUND } from "./places.ts";

const NAMES = ["a", "b", "c"] as const;

interface Server {
  readonly program: string;
  readonly on: boolean;
}
/** A server as a file has it, by name. */
type File = Readonly<Partial<Record<string, Server>>>;
type Step =
  | { readonly do: "others save" | "a person saves"; readonly file: File }
  | { readonly do: "approve"; readonly name: string }
  | { readonly do: "restart" };

const file: fc.Arbitrary<File> = fc.dictionary(
  fc.constantFrom(...NAMES),
  fc.record({ program: fc.constantFrom("p", "q"), on: fc.boolean() }),
  { maxKeys: 3, noNullPrototype: true },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("others save" as const), file }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("a person saves" as const), file }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("approve" as const), name: fc.constantFrom(...NAMES) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: "restart" as const }) },
);

/** Writes down what a person chose, when their edit changes one server. */
function choose(ledger: Map<string, Server>, name: string, was: Server | undefined, is: Server | undefined) {
  if (was?.program === is?.program && was?.on === is?.on) return;
  if (is === undefined) return void ledger.delete(name);
  const chosen = ledger.get(name);
  const isShown = was === undefined || chosen?.program === was.program;
  if (!isShown) {
    // They did not see what others made of it: they can only switch it off.
    if (was.on && !is.on) ledger.delete(name);
    return;
  }
  // Others have switched it on: a change of something else is no choice that it runs.
  const isBySomebodyElse = was?.on === true && chosen?.on === false;
  if (!isBySomebodyElse || !is.on) ledger.set(name, is);
}

test("E2 only a person's latest choice runs, and not if they switched it off", async () => {
  const { config: base } = await accepted(
    '[trust]\napprove = "commands"\n[backends.a]\ncommand = "p"\ncwd = "/srv"\n',
  );
  const [sample] = base.backends;
  assert.ok(sample !== undefined);
  const configOf = (servers: File): MountaineerConfig => ({
    ...base,
    backends: Object.entries(servers).flatMap(([name, server]): BackendConfig[] => {
      if (server === undefined) return [];
      // Each name has programs of its own, so that none is another one's under a new name.
      const command = `${name} ${server.program}`;
      const connection = { type: "stdio" as const, command, args: [], env: {}, cwd: "/srv" };
      return [{ ...sample, name, enabled: server.on, connection }];
    }),
  });
  await fc.assert(
    fc.property(file, fc.array(step, { minLength: 1, maxLength: 20 }), (first, steps) => {
      let now = first;
      let running = null as MountaineerConfig | null;
      let approvals = null as Approvals | null;
      const ledger = new Map<string, Server>();
      for (const [name, server] of Object.entries(first)) if (server !== undefined) ledger.set(name, server);
      let ran = new Map<string, string>();
      for (const each of [{ do: "restart" } as const, ...steps]) {
        const before = approvals;
        const waits = (name: string): boolean =>
          now[name]?.on === true && ran.get(name) !== now[name].program;
        if (each.do === "approve" && before !== null && waits(each.name)) {
          const { program = "" } = now[each.name] ?? {};
          ledger.set(each.name, { program, on: true });
          const grant = { ids: new Set([`backends.${each.name}`]), loosens: false };
          approvals = withApproved(before, { file: configOf(now), running, ...GROUND }, grant);
        }
        if (each.do === "a person saves" && before !== null) {
          const [was, is] = [configOf(now), configOf(each.file)];
          for (const name of NAMES) choose(ledger, name, now[name], each.file[name]);
          const grant = editedEntries({ before: was, after: is, running, approvals: before, ...GROUND });
          approvals = withApproved(before, { file: is, running, ...GROUND }, grant);
        }
        if (each.do === "a person saves" || each.do === "others save") now = each.file;
        if (each.do === "restart") running = null;
        const outcome = applyApprovals({ file: configOf(now), running, approvals, ...GROUND });
        const runs = new Map<string, string>();
        for (const name of NAMES) {
          const server = now[name];
          if (server?.on !== true) continue;
          const chosen = ledger.get(name);
          if (chosen?.on !== true) continue;
          if (chosen.program === server.program || ran.has(name)) runs.set(name, chosen.program);
        }
        const found = outcome.effective.backends.flatMap(({ name, enabled, connection }) =>
          enabled && connection.type === "stdio" ? [[name, connection.command] as const] : [],
        );
        const wanted = [...runs].map(([name, program]) => [name, `${name} ${program}`]);
        assert.deepEqual(found.toSorted(), wanted.toSorted());
        running = outcome.effective;
        approvals = outcome.approvals;
        ran = runs;
      }
    }),
    { numRuns: runsOf(1_200) },
  );
});
