// What `driver` means on each system.
import assert from "node:assert/strict";
import test from "node:test";
import { type ConfigPlace, findPlace } from "../../../src/config/locate.ts";
import { parseConfig } from "../../../src/config/read/load.ts";
import { bytes, PLACE, refused, SHARE } from "../support.ts";

const MAC: ConfigPlace = { ...PLACE, ...pick(findPlace({ HOME: "/Users/ann" }, "darwin")) };

function pick({ defaultMountRoot, smbDriver }: ConfigPlace): Partial<ConfigPlace> {
  return { defaultMountRoot, ...(smbDriver === undefined ? {} : { smbDriver }) };
}

async function loaded(text: string, place: ConfigPlace) {
  const result = await parseConfig(bytes(text), "config.toml", place);
  assert.ok(result.ok);
  const { config, warnings } = result.snapshot;
  return { driver: config.shares[0]?.driver, warnings: warnings.map(({ path }) => path) };
}

test("`auto` is NetFS on macOS and rclone elsewhere, `local` where the paths are given", async () => {
  const paths = '[[shares]]\nname = "A"\nthunderbolt_path = "/a"\nfallback_path = "/b"\n';
  for (const [text, onMac, elsewhere] of [
    [SHARE, "netfs", "rclone"],
    [`${SHARE}driver = "auto"\n`, "netfs", "rclone"],
    [`${SHARE}driver = "netfs"\n`, "netfs", "netfs"],
    [`${SHARE}driver = "rclone"\n`, "rclone", "rclone"],
    [`${SHARE}driver = "cifs"\n`, "cifs", "cifs"],
    [paths, "local", "local"],
    [`${paths}driver = "local"\n`, "local", "local"],
  ] as const) {
    assert.equal((await loaded(text, MAC)).driver, onMac, text);
    assert.equal((await loaded(text, PLACE)).driver, elsewhere, text);
  }
});

test("a path does not go with a driver that mounts, and its name is said", async () => {
  for (const driver of ["netfs", "rclone", "cifs"]) {
    const [mistake] = await refused(`${SHARE}driver = "${driver}"\nthunderbolt_path = "/a"\n`);
    assert.equal(mistake?.found, `a path with driver \`${driver}\``);
  }
});

test("a user without a password is a guest for rclone, and the Keychain's for NetFS: only the first is told", async () => {
  const text = `${SHARE}username = "ann"\n`;
  assert.deepEqual((await loaded(text, PLACE)).warnings, ["shares[0].username"]);
  assert.deepEqual((await loaded(text, MAC)).warnings, []);
});
