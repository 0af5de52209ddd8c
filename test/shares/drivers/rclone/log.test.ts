// What rclone writes when a mount does not work, as its versions write it.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readLoggedFailure } from "../../../../src/shares/drivers/rclone/log.ts";

const at = (text: string): string => `2026/01/02 03:04:05 ${text}\n`;

describe("a log of rclone", () => {
  const table: readonly (readonly [line: string, reason: string, text: string])[] = [
    [
      "ERROR : IO error: couldn't connect SMB: response error: The attempted logon is invalid. This is either due to a bad username or authentication information.",
      "wrong_credentials",
      "The attempted logon is invalid. This is either due to a bad username or authentication information.",
    ],
    [
      "ERROR : IO error: couldn't initialize SMB: response error: {Network Name Not Found} The specified share name cannot be found on the remote server.",
      "no_such_share",
      "{Network Name Not Found} The specified share name cannot be found on the remote server.",
    ],
    [
      "ERROR : IO error: couldn't connect SMB: dial tcp 127.0.0.2:1: connect: connection refused",
      "refused",
      "dial tcp 127.0.0.2:1: connect: connection refused",
    ],
    [
      "ERROR : IO error: couldn't connect SMB: dial tcp 10.0.0.1:445: connect: no route to host",
      "unreachable",
      "dial tcp 10.0.0.1:445: connect: no route to host",
    ],
    [
      "ERROR : IO error: couldn't connect SMB: dial tcp: lookup nas.invalid: no such host",
      "unreachable",
      "dial tcp: lookup nas.invalid: no such host",
    ],
    [
      "ERROR : IO error: couldn't connect SMB: connection error: read tcp 127.0.0.1:5->127.0.0.2:6: i/o timeout",
      "timed_out",
      "read tcp 127.0.0.1:5->127.0.0.2:6: i/o timeout",
    ],
    [
      "ERROR : IO error: couldn't connect SMB: response error: The user account has been automatically locked",
      "wrong_credentials",
      "The user account has been automatically locked",
    ],
    [
      "ERROR : /: Dir.Stat error: response error: {Access Denied} A process has requested access to an object",
      "permission_denied",
      "/: Dir.Stat error: response error: {Access Denied} A process has requested access to an object",
    ],
    [
      "Fatal error: failed to mount FUSE fs: something new",
      "other",
      "failed to mount FUSE fs: something new",
    ],
  ];
  for (const [line, reason, text] of table) {
    it(`tells ${reason}: ${text.slice(0, 60)}`, () => {
      assert.deepEqual(readLoggedFailure(at(line)), { reason, text });
    });
  }

  it("without a failure tells nothing", () => {
    assert.equal(readLoggedFailure(""), null);
    assert.equal(readLoggedFailure(at("NOTICE: the poll-interval is not supported")), null);
  });

  it("with a known reason before an unknown one tells the known one; of two known ones the newer", () => {
    const log = at("ERROR : a: connection refused") + at("ERROR : b: i/o timeout") + at("ERROR : gibberish");
    assert.equal(readLoggedFailure(log)?.reason, "timed_out");
  });
});
