import assert from "node:assert/strict";
import { test } from "node:test";
import { sessionBusPaths } from "../../../src/menubar/dbus/bus-address.ts";

for (const [address, runtime, paths] of [
  ["unix:path=/run/user/1000/bus", undefined, ["/run/user/1000/bus"]],
  ["unix:path=/tmp/a%20b%2cc,guid=00ff", undefined, ["/tmp/a b,c"]],
  ["unix:abstract=/tmp/dbus-X,guid=1", undefined, ["\0/tmp/dbus-X"]],
  ["tcp:host=1.2.3.4,port=5;unix:path=/b", undefined, ["/b"]],
  ["unix:path=/a;unix:path=/b", undefined, ["/a", "/b"]],
  ["unix:runtime=yes", "/run/user/7", ["/run/user/7/bus"]],
  ["unix:path=/caf%C3%A9", undefined, ["/café"]],
  ["nonsense", "/run/user/7", []],
  [undefined, "/run/user/7", ["/run/user/7/bus"]],
  ["", undefined, []],
  [undefined, undefined, []],
] as const) {
  test(`${address ?? "no address"}${runtime ? ` with ${runtime}` : ""} is ${JSON.stringify(paths)}`, () => {
    const environment = { DBUS_SESSION_BUS_ADDRESS: address, XDG_RUNTIME_DIR: runtime };
    assert.deepEqual(sessionBusPaths(environment), paths);
  });
}
