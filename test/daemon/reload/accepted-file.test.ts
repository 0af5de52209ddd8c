// For how long a person's yes to a content of the file counts.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Grant } from "../../../src/config/approval/apply-approvals.ts";
import type { ConfigSnapshot } from "../../../src/config/snapshot.ts";
import type { ApprovalStore, EvaluatedFile } from "../../../src/daemon/approvals/approval-store.ts";
import { createAcceptedFile } from "../../../src/daemon/reload/accepted-file.ts";

const GRANT: Grant = { ids: new Set(["backends.a"]), loosens: false };
// Nothing of it is looked at here.
const FILE = {} as unknown as ConfigSnapshot;

function holdingOf() {
  const grants: (Grant | undefined)[] = [];
  let withdrawals = 0;
  const withdraw = async () => {
    withdrawals += 1;
  };
  const judge: ApprovalStore["judge"] = async (file, _running, granted) => {
    grants.push(granted);
    return { file, effective: file, outcome: { waiting: [] }, changes: false } as unknown as EvaluatedFile;
  };
  const keeper = { judge, applied() {}, withdraw } as unknown as ApprovalStore;
  const holding = createAcceptedFile(keeper, FILE);
  const judged = (sha256 = "one") =>
    holding.judge({ snapshot: FILE, bytes: new Uint8Array(), source: "file", sha256 }, FILE);
  holding.grant("one", GRANT);
  return { holding, grants, judged, withdrawals: () => withdrawals };
}

test("E2 an approval covers the content that it was given for, once that is applied, and not its later return", async () => {
  const { holding, grants, judged } = holdingOf();
  await judged("other");
  holding.applied(await judged());
  await judged();
  assert.deepEqual(grants, [undefined, GRANT, undefined]);
});

test("E2 an approval of content that could not be applied has no effect", async () => {
  const { holding, grants, judged, withdrawals } = holdingOf();
  await judged();
  await holding.withdraw();
  await judged();
  assert.deepEqual([grants, withdrawals()], [[GRANT, undefined], 1]);
});
