import assert from "node:assert/strict";
import { test } from "node:test";
import { routeLabels } from "../../../src/api/labels/share-labels.ts";
import { sampleShare } from "../sample-report.ts";

test("F2 a host that does not answer is shown with the reason of its probe", () => {
  const share = sampleShare({
    tb_reachable: false,
    tb_reachable_since: null,
    tb_error: "connection refused",
  });
  assert.deepEqual(
    routeLabels(share).map(({ text }) => text),
    ["connection refused", "answers"],
  );
});

test("F2 a route whose host was edited is not shown as in use there while the mount uses its address before", () => {
  const code = "host_unproved";
  const condition = {
    code,
    severity: "warning",
    title: code,
    hint: null,
    since: "2026-01-02T11:00:00.000Z",
  } as const;
  const [tb] = routeLabels(sampleShare({ conditions: [condition] }));
  assert.deepEqual([tb?.text, tb?.tone], ["not this host, but its address before", "warning"]);
});
