import assert from "node:assert/strict";
import { test } from "node:test";
import { connectReason } from "../../../../../src/gateway/backends/links/http/target.ts";

const failed = (code: string, message = "as the library says it"): Error =>
  Object.assign(new Error(message), { code });

test("what TLS refuses is said without the library's words, each with what helps", () => {
  for (const [code, text, hint] of [
    ["EPROTO", /speaks no TLS/, /http:/],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", /nobody who is trusted/, /NODE_EXTRA_CA_CERTS/],
    ["SELF_SIGNED_CERT_IN_CHAIN", /nobody who is trusted/, /NODE_EXTRA_CA_CERTS/],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", /nobody who is trusted/, /NODE_EXTRA_CA_CERTS/],
    ["CERT_HAS_EXPIRED", /expired/, /clock/],
    ["CERT_NOT_YET_VALID", /not valid yet/, /clock/],
    ["ERR_TLS_CERT_ALTNAME_INVALID", /another name/, /host/],
  ] as const) {
    const reason = connectReason(failed(code));
    assert.match(reason.text, text);
    assert.doesNotMatch(reason.text, /library/);
    assert.match(reason.hint ?? "", hint);
  }
});

test("what has no words of its own keeps the system's", () => {
  assert.deepEqual(connectReason(failed("EWHATEVER", "odd")), { text: "odd" });
  assert.deepEqual(connectReason(failed("ECONNREFUSED")), { text: "nothing listens there", isAway: true });
});
