import assert from "node:assert/strict";
import { test } from "node:test";
import { routeLabels } from "../../../src/api/labels/share-labels.ts";
import { pluck } from "../../support/pluck.ts";
import { sampleShare } from "../sample-report.ts";

test("F2 a host that does not answer is shown with the reason of its probe", () => {
  const share = sampleShare({
    tb_reachable: false,
    tb_reachable_since: null,
    tb_error: "connection refused",
  });
  assert.deepEqual(pluck(routeLabels(share), "text"), ["connection refused", "answers"]);
});

test("F2 a route whose host has another address by now says which one the mount uses", () => {
  const [tb, fallback] = routeLabels(sampleShare({ address_in_use: "10.0.0.9" }));
  assert.deepEqual([tb?.text, tb?.tone], ["by its earlier address 10.0.0.9", "warning"]);
  assert.equal(fallback?.text, "answers");
});
