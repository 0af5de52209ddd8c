import assert from "node:assert/strict";
import { test } from "node:test";
import { complete } from "../../../src/cli/program/complete.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { startRig } from "../../api/management-rig.ts";
import { sampleToolChange, scriptedGateway } from "../../api/sample-gateway.ts";

test("E3 the names of waiting tools are completed, with their backend where two have the same name", async (t) => {
  const changes = [
    sampleToolChange(),
    sampleToolChange({ backend: "web", kind: "new" }),
    sampleToolChange({ tool: "stat", published_as: null }),
  ];
  const report = { changes, unseen: [], lost: null };
  const { home } = await startRig(t, { gateway: scriptedGateway(undefined, undefined, undefined, report) });
  for (const command of ["diff", "approve"]) {
    let printed = "";
    const print = (text: string): void => {
      printed += text;
    };
    const { signal } = new AbortController();
    await complete(["zsh", "tools", command, ""], { home, clock: systemClock, signal, print });
    const names = printed.split("\n").flatMap((line) => (line === "" ? [] : [line.split("\t")[0]]));
    for (const name of ["files:read_file", "web:read_file", "stat"]) {
      assert.ok(
        names.some((one) => one?.replaceAll("\\", "") === name),
        `${name} is not among ${JSON.stringify(names)}`,
      );
    }
  }
});
