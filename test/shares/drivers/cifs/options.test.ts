// What the kernel's SMB client is told for a mount that is carried, and for one that is not.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { carriedEchoIntervalS, cifsOptions } from "../../../../src/shares/drivers/cifs/options.ts";
import { routeTo, shareSpec } from "../../share-spec.ts";

const route = routeTo("nas.test", { port: 4450 });
const share = shareSpec({
  shareName: "core",
  password: "s3cret",
  driver: "cifs",
  routes: { tb: route, fallback: route },
});
const owner = { uid: 1000, gid: 100 };

describe("the kernel's options", () => {
  it("A10 lead a carried mount to this machine's port alone, and let it wait", () => {
    const options = cifsOptions({
      share,
      route,
      address: "10.0.0.1",
      owner,
      carried: { port: 24_450, patienceMs: 60_000 },
    }).split(",");
    const keys = options.map((option) => option.replace(/=.*/, ""));
    assert.deepEqual(
      options.filter((option) => /^(ip|addr|port|hard|soft|echo_interval|nodfs)(=|$)/.test(option)),
      ["port=24450", "hard", "echo_interval=21", "nodfs"],
    );
    assert.equal(new Set(keys).size, keys.length, "none twice");
    assert.ok(!options.some((option) => /multichannel|max_channels/.test(option)));
  });

  it("lead another one to its host, and let it fail", () => {
    const options = cifsOptions({ share, route, address: "10.0.0.1", owner, carried: null }).split(",");
    assert.deepEqual(
      options.filter((option) => /^(ip|addr|port|hard|soft|echo_interval|nodfs)(=|$)/.test(option)),
      ["ip=10.0.0.1", "port=4450", "soft", "echo_interval=5"],
    );
  });

  it("A10 ask a silent server so seldom that the kernel waits longer than the carrier", () => {
    for (const patienceMs of [0, 1_000, 15_000, 45_000, 59_999, 60_000, 60_001, 600_000, 1_799_000]) {
      const intervalS = carriedEchoIntervalS(patienceMs);
      assert.ok(intervalS * 3_000 > patienceMs, `${intervalS} s for ${patienceMs} ms`);
      assert.ok(Number.isInteger(intervalS) && intervalS >= 5 && intervalS <= 600);
    }
    assert.equal(carriedEchoIntervalS(60_000), 21);
    assert.equal(carriedEchoIntervalS(86_400_000), 600, "the kernel takes no more");
  });
});
