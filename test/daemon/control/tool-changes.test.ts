import assert from "node:assert/strict";
import { test } from "node:test";
import { MOST_SHOWN } from "../../../src/api/tool-changes-contract.ts";
import { toolChangesReport } from "../../../src/daemon/control/tool-changes.ts";
import type { Gateway } from "../../../src/gateway/serving/gateway.ts";
import { assertEach } from "../../support/assert-each.ts";

const gateway = {
  entries: () => ({
    tools: [{ kind: "tool", backend: "files", originalName: "t0", name: "files_t0" }],
    prompts: [{ kind: "prompt", backend: "files", originalName: "t1", name: "files_t1" }],
    resources: [],
  }),
  trust: () => ({
    pending: Array.from({ length: MOST_SHOWN + 1 }, (_, nth) => ({
      backend: "files",
      kind: "tool",
      name: `t${nth}`,
      change: nth === 0 ? "new" : "changed",
      isWithheld: true,
      digest: "d",
      before: null,
      definition: { name: `t${nth}`, description: "does it" },
    })),
    lost: null,
    unseen: [],
  }),
  // What else a gateway can is not asked for.
} as unknown as Gateway;

test("E3 all changes of tools are told, the first of them with their texts", () => {
  const { changes } = toolChangesReport(gateway, null);
  assert.equal(changes.length, MOST_SHOWN + 1);
  assert.equal(changes.filter(({ members }) => members !== null).length, MOST_SHOWN);
  assert.equal(changes.at(-1)?.members, null);
  assertEach(changes.slice(0, 2), ({ published_as, before_known }) => [published_as, before_known], [
    ["files_t0", true],
    [null, false],
  ]);
});
