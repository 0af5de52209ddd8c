import assert from "node:assert/strict";
import { test } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import type { PendingChange, PinsState } from "../../../src/gateway/pins/pins.ts";
import { trustConditions } from "../../../src/gateway/serving/gateway-conditions.ts";
import { FIRST_WINS, source } from "../catalog/sources.ts";
import { tool } from "../pins/tools.ts";

const CALM: PinsState = { pending: [], beyond: new Map(), lost: null, isUnread: false, unsavedBecause: null };
const NO_CATALOG = buildCatalog([], FIRST_WINS);

const pending = (backend: string, name: string, change: Partial<PendingChange> = {}): PendingChange => ({
  backend,
  kind: "tool",
  name,
  change: "changed",
  digest: "d",
  definition: tool(name),
  before: null,
  isWithheld: false,
  ...change,
});

test("E3 changed and withheld tools are one condition each for each backend, with what to do", () => {
  assert.deepEqual(trustConditions(CALM, NO_CATALOG), []);
  const many = Array.from({ length: 8 }, (_, at) => pending("files", `t${at}`));
  const told = trustConditions(
    {
      ...CALM,
      pending: [
        ...many,
        pending("web", "go\u202e", { isWithheld: true }),
        pending("web", "new", { isWithheld: true, change: "new" }),
      ],
    },
    NO_CATALOG,
  );
  assert.deepEqual(
    told.map(({ code, severity, title }) => [code, severity, title]),
    [
      [
        "tools_changed",
        "warning",
        "backend files describes tools otherwise than when they were approved: t0, t1, t2, t3, t4 and 3 more",
      ],
      [
        "tools_withheld",
        "warning",
        "tools of backend web are withheld until you approve them: go\\u{202e} (changed), new (new)",
      ],
    ],
  );
  assert.match(told[1]?.hint ?? "", /tools approve --backend web/u);
});

test("E3 pins that were lost, are not saved or do not suffice are told", () => {
  const beyond = new Map([
    ["a", { count: 3, isWithheld: false }],
    ["b", { count: 1, isWithheld: true }],
  ]);
  const told = trustConditions(
    { ...CALM, beyond, lost: "the seal is not right", unsavedBecause: "disk full" },
    NO_CATALOG,
  );
  assert.deepEqual(
    told.map(({ code, severity }) => `${severity} ${code}`),
    ["error pins_lost", "warning pins_not_saved", "warning tools_not_pinned", "warning tools_not_pinned"],
  );
  assert.match(told[0]?.hint ?? "", /tools approve --all/u);
  const [locked] = trustConditions({ ...CALM, lost: "locked", isUnread: true }, NO_CATALOG);
  assert.match(locked?.hint ?? "", /Unlock the keyring/u);
  assert.match(told[2]?.title ?? "", /3 of them are not watched/u);
  assert.match(told[3]?.title ?? "", /1 of them are withheld/u);
});

test("E3 text that nobody sees is told once for each backend, and shows itself", () => {
  const hidden = [..."obey"].map((one) => String.fromCodePoint(0xe0000 + (one.codePointAt(0) ?? 0))).join("");
  const catalog = buildCatalog([source("a", { tools: [`say${hidden}`], prompts: ["x\u200b"] })], FIRST_WINS);
  const [found, ...more] = trustConditions(CALM, catalog);
  assert.deepEqual(more, []);
  assert.equal(found?.code, "unseen_characters");
  assert.match(found?.title ?? "", /tool say\\u\{e006f\}.* \(name: 4 unseen characters that spell "obey"/u);
});
