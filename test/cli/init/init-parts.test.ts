// The parts of `init`: what a daemon begins with, more shares of a NAS, names, the token.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { firstStart } from "../../../src/cli/init/first-start.ts";
import { shareNameOf } from "../../../src/cli/init/init-text.ts";
import { keysOf, newShares } from "../../../src/cli/init/more-shares.ts";
import { findPlace } from "../../../src/config/locate.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

test("what a daemon would begin with names shares, backends, middleware, and the settings that are not defaults", async (t) => {
  const home = await temporaryFolder(t);
  const text = [
    "[sync]",
    "debounce = 0.5",
    "[server]",
    "port = 9100",
    "[backends.files]",
    'command = "x"',
    "[[shares]]",
    'name = "CORE"',
    'thunderbolt_host = "10.0.0.2"',
    'fallback_host = "10.0.0.3"',
    "",
  ].join("\n");
  const report = await firstStart({
    daemon: null,
    place: findPlace({ HOME: home, MOUNTAINEER_HOME: home }),
    path: join(home, "config.toml"),
    format: "toml",
    read: async () => Buffer.from(text),
    ask: () => Promise.reject(new Error("nothing is asked")),
  });
  assert.deepEqual(report.errors, []);
  assert.deepEqual(
    [report.settings, report.shares.added, report.backends.added, report.middleware, report.summary],
    [["sync.debounce", "server.port"], ["CORE"], ["files"], [], "1 share, 1 backend to start"],
  );
});

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

type Found = Parameters<typeof shareNameOf>[0];

test("G1 a found share is called as it is, where a folder may be called that", () => {
  // Nothing else of it counts.
  const named = (share: string): string => shareNameOf({ share } as Found);
  assert.deepEqual(["CORE", " Photos ", "a/b", "cafe\u0301"].map(named), ["CORE", "Photos", "a-b", "café"]);
  const ours = ["", ".", "..", "Links", "links"];
  assert.deepEqual(
    ours.map(named),
    ours.map((name) => `share-${name}`),
  );
  assert.equal(named("linksys"), "linksys");
});
