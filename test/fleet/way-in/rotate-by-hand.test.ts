import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { FleetConfig } from "../../../src/config/snapshot.ts";
import { rawOfSeed, userKey } from "../../../src/fleet/keys/nkey.ts";
import { rotateByHand } from "../../../src/fleet/way-in/rotate-by-hand.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { openSecretStore } from "../../../src/secrets/secret-store.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { needsNats, startNats } from "../nats-rig.ts";

test(
  "G1 with a server that a person runs, the new key waits beside the old one until it opens",
  needsNats,
  async (t) => {
    const rig = await startNats(t);
    const home = await temporaryFolder(t);
    const { signal } = new AbortController();
    const options = { home, clock: systemClock, environment: {}, signal };
    const store = openSecretStore(options);
    const { seed, publicKey } = rig.key("laptop");
    await store.set("fleet", seed, "file", signal);
    const config: FleetConfig = {
      name: "laptop",
      servers: [rig.url],
      credentials: { kind: "stored", name: "fleet" },
      tlsCa: null,
      operator: null,
    };
    const kept = () => store.get("fleet", { deadlineMs: 1_000 });
    const first = await rotateByHand(options, config);
    assert.deepEqual([first.before, first.waitsFor], [publicKey, "the server does not know it yet"]);
    const again = await rotateByHand(options, config);
    assert.deepEqual([again.key, again.waitsFor], [first.key, "the server refuses the credentials"]);
    assert.equal(await kept(), seed);

    const file = join(rig.folder, "nats.conf");
    await writeFile(
      file,
      (await readFile(file, "utf8")).replace("users: [", `users: [ { nkey: ${first.key} },`),
    );
    await rig.kill();
    await rig.start();
    assert.deepEqual(await rotateByHand(options, config), { ...first, waitsFor: null });
    const raw = rawOfSeed((await kept()) ?? "");
    assert.equal(raw === null ? null : userKey(raw), first.key);
    assert.deepEqual(
      (await store.list()).map(({ name }) => name),
      ["fleet"],
    );
    const other = { ...config, credentials: { kind: "environment", variable: "KEY" } as const };
    await assert.rejects(rotateByHand(options, other), { code: "usage" });
  },
);
