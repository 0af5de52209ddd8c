// What a backend is told of its shares while the daemon that looks after them is only starting.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createRequiredShares } from "../../../src/daemon/control/required-shares.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { seenOf, viewOf } from "../shares.ts";

const REQUIRED = [{ share: "CORE", folder: null }];

function startScene() {
  let view = viewOf();
  let names: readonly string[] = [];
  const shares = createRequiredShares({
    clock: createManualClock(),
    engine: () => ({ names, view: () => view, trigger() {}, settle: async () => {} }),
    prober: () => ({ folderLook: async () => null }),
  });
  const look = () => {
    const data = shares.look(REQUIRED);
    return data.kind === "away" ? data.reason : data.kind;
  };
  return {
    shares,
    look,
    set(next: readonly string[], nextView = view) {
      names = next;
      view = nextView;
      shares.noteConfig(REQUIRED);
    },
  };
}

test("C1 a share that the engine of a daemon that starts does not know yet was not looked at: it is no removed one", () => {
  const { look, set } = startScene();
  assert.equal(look(), "it was not looked at yet");
  set([]);
  assert.equal(look(), "it was not looked at yet");
  set(["CORE"]);
  assert.equal(look(), "it was not looked at yet");
});

test("C1 a share that was there and is removed is not in the configuration any more", () => {
  const { look, set } = startScene();
  look();
  set(["CORE"], viewOf({ seen: seenOf({ mount: null }) }));
  assert.equal(look(), "it is not mounted");
  set([]);
  assert.equal(look(), "it is not in the configuration any more");
  set(["CORE"]);
  assert.equal(look(), "it is not mounted");
});
