// Random rows of edits, approvals, restarts and losses: nothing that nobody approved ever runs, and what was approved and
// is wanted never stops.
import assert from "node:assert/strict";
import test from "node:test";
import {
  type Approvals,
  applyApprovals,
  isAsStrict,
  withApproved,
} from "../../../src/config/approval/apply-approvals.ts";
import type { ApproveMode, BackendConfig, MountaineerConfig } from "../../../src/config/snapshot.ts";
import { fc, runsOf } from "../../support/properties.ts";
import { accepted } from "../support.ts";
import { GROUND } from "./places.ts";

const NAMES = ["a", "b", "c"] as const;
/** Two of them reach the home. */
const PROGRAMS = ["serve /home/ann", "serve /srv", "evil /", "calm", "other"] as const;

interface Wanted {
  readonly program: (typeof PROGRAMS)[number];
  readonly enabled: boolean;
  readonly group: string | null;
}

type Step =
  | {
      readonly do: "save";
      readonly backends: Readonly<Record<string, Wanted>>;
      readonly approve: ApproveMode | null;
    }
  | { readonly do: "approve"; readonly id: string }
  | { readonly do: "restart" }
  | { readonly do: "lose" };

const wanted = fc.record({
  program: fc.constantFrom(...PROGRAMS),
  enabled: fc.boolean(),
  group: fc.constantFrom("x", null),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("save" as const),
      backends: fc.dictionary(fc.constantFrom(...NAMES), wanted, { maxKeys: 3, noNullPrototype: true }),
      approve: fc.constantFrom("commands", "all", "none", null),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("approve" as const),
      id: fc.constantFrom(...NAMES.map((name) => `backends.${name}`), "trust", "backends"),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: "restart" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "lose" as const }) },
);

function fileOf(base: MountaineerConfig, { backends, approve }: Extract<Step, { do: "save" }>) {
  const [sample] = base.backends;
  assert.ok(sample !== undefined);
  const made = Object.entries(backends).map(([name, { program, enabled, group }]): BackendConfig => {
    const [command = "", ...args] = program.split(" ");
    return {
      ...sample,
      name,
      enabled,
      group,
      connection: { type: "stdio", command, args, env: {}, cwd: "/srv" },
    };
  });
  return { ...base, backends: made, trust: { ...base.trust, approve } };
}

function programOf({ connection }: BackendConfig): string {
  return connection.type === "stdio" ? [connection.command, ...connection.args].join(" ") : "";
}

test("E2 nothing unapproved ever runs, approved entries never stop serving, and no edit loosens the mode", async () => {
  const { config: base } = await accepted('[backends.a]\ncommand = "calm"\ncwd = "/srv"\n');
  await fc.assert(
    fc.property(fc.array(step, { minLength: 2, maxLength: 25 }), (steps) => {
      let file = null as MountaineerConfig | null;
      let running = null as MountaineerConfig | null;
      let approvals = null as Approvals | null;
      /** What a person, or a mode that asks nobody, let run: the model. */
      let mayRun = new Set<string>();
      let mode: ApproveMode = "none";
      let everOutcome = false;
      /** The form in which each backend ran last. */
      const lastOn = new Map<string, BackendConfig>();
      for (const each of steps) {
        const before = new Map(running?.backends.map((backend) => [backend.name, backend]));
        let loosened = false;
        if (each.do === "save") file = fileOf(base, each);
        if (file === null) continue;
        if (each.do === "restart") running = null;
        if (each.do === "lose") {
          if (!everOutcome) continue;
          approvals = { mode, entries: new Map(), order: [] };
          running = null;
          mayRun = new Set();
        }
        if (each.do === "approve") {
          if (approvals === null) continue;
          const backend = file.backends.find(({ name }) => `backends.${name}` === each.id);
          if (backend?.enabled === true) mayRun.add(programOf(backend));
          approvals = withApproved(
            approvals,
            { file, running, ...GROUND },
            { ids: new Set([each.id]), loosens: false },
          );
          loosened = each.id === "trust";
        }
        const isFirst = approvals === null;
        const outcome = applyApprovals({ file, running, approvals, ...GROUND });
        assert.ok(
          loosened || !everOutcome || isAsStrict(outcome.mode, mode),
          `${mode} became ${outcome.mode} by ${each.do}`,
        );
        mode = outcome.mode;
        everOutcome ||= outcome.approvals !== null;
        const on = outcome.effective.backends.filter(({ enabled }) => enabled);
        if (mode === "none" || (isFirst && running === null))
          for (const one of on) mayRun.add(programOf(one));
        for (const one of on) assert.ok(mayRun.has(programOf(one)), `${programOf(one)} runs`);
        const names = on.map(({ name }) => name);
        const stayed = running?.backends.filter(({ name, enabled }) => enabled && names.includes(name)) ?? [];
        if (mode === "all" && each.do === "save" && stayed.length > 0) {
          const were = stayed.map(({ name }) => name);
          const are = names.filter((name) => were.includes(name));
          assert.deepEqual(are, were, "nobody approved another order");
        }
        for (const { name, enabled } of file.backends) {
          const was = before.get(name);
          if (each.do === "lose" || !enabled || was?.enabled !== true) continue;
          const now = outcome.effective.backends.find((backend) => backend.name === name);
          assert.ok(now?.enabled === true, `${name} stopped`);
        }
        for (const backend of on) {
          const inFile: BackendConfig | undefined = file.backends.find(({ name }) => name === backend.name);
          const isWaiting = outcome.waiting.some(({ id }) => id === `backends.${backend.name}`);
          const form: BackendConfig | undefined = isWaiting ? lastOn.get(backend.name) : inFile;
          assert.deepEqual(backend, form, "an entry runs whole, as it waits or as it was approved");
          lastOn.set(backend.name, backend);
        }
        running = outcome.effective;
        approvals = outcome.approvals;
        const again = applyApprovals({ file, running, approvals, ...GROUND });
        assert.deepEqual(again.effective, outcome.effective, "looking again changes nothing");
        assert.deepEqual(again.waiting, outcome.waiting);
      }
    }),
    { numRuns: runsOf(2_000) },
  );
});
