// What is kept of a server's cookies.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cookies } from "../../../../../src/gateway/backends/transports/http/cookies.ts";

test("D9 cookies are kept by name, also from joined headers with dates, until they expire", () => {
  const cookies = new Cookies();
  for (const [given, header] of [
    [
      "AWSALB=a/b+c=; Expires=Thu, 03 Dec 2026 10:00:00 GMT; Path=/, AWSALBCORS=d; SameSite=None; Secure",
      "AWSALB=a/b+c=; AWSALBCORS=d",
    ],
    ["AWSALB=e; Path=/", "AWSALBCORS=d; AWSALB=e"],
    ["AWSALBCORS=; Path=/", "AWSALB=e"],
    ["x=1; Max-Age=0", "AWSALB=e"],
    ["no name, b=\u0000; y", "AWSALB=e"],
    [`long=${"x".repeat(5_000)}`, "AWSALB=e"],
    ["AWSALB=e; max-age=-1", null],
  ] as const) {
    cookies.take(given);
    assert.equal(cookies.header, header, given);
  }
  for (let count = 0; count < 30; count += 1) cookies.take(`c${count}=1`);
  assert.equal(cookies.header?.split("; ").length, 20);
  for (let count = 0; count < 30; count += 1) cookies.take(`long${count}=${"x".repeat(3_000)}`);
  assert.deepEqual(cookies.header?.match(/long\d+(?==)/g), ["long28", "long29"]);
});
