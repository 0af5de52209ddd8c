// One more share of a NAS that is configured: what it takes over from the other, and what it is called.
import assert from "node:assert/strict";
import { test } from "node:test";
import { keysOf, newShares } from "../../../src/cli/init/more-shares.ts";

test("a name that another NAS's share has is asked for again, and so is that of a share chosen just now", async () => {
  const taken = ["photos"];
  const answers = ["media", "photos-2"];
  const told: string[] = [];
  const person = {
    ask: () => Promise.resolve(answers.shift() ?? assert.fail("one question too many")),
    tell: (line: string) => void told.push(line),
  };
  const shares = await newShares(person, { username: "ann" }, ["media", "photos"], (all) => {
    const names = [...taken, ...all.map(({ name }) => name)];
    return Promise.resolve(new Set(names).size < names.length ? "it is taken" : null);
  });
  assert.deepEqual(shares, [
    { username: "ann", name: "media", share_name: "media" },
    { username: "ann", name: "photos-2", share_name: "photos" },
  ]);
  assert.deepEqual(told, ["  photos: it is taken", "  media: it is taken"]);
});

test("for whoever is not root a new share takes no kernel's client over: no line in fstab lets it mount", () => {
  const route = (host: string | null) => ({ host, port: 445, interfaceName: null, folder: null });
  const share = {
    username: "ann",
    password: null,
    driver: "cifs",
    routes: { tb: route(null), fallback: route("nas.local") },
  } as const;
  assert.deepEqual(keysOf(share, false), { fallback_host: "nas.local", username: "ann" });
  assert.equal(keysOf(share, true)["driver"], "cifs");
  assert.equal(keysOf({ ...share, driver: "rclone" }, false)["driver"], "rclone");
});
