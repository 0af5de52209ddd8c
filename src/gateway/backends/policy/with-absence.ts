// Adds to an answer that tells of a failure what the server behind it cannot know: that its data is away. Pure.
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  isError,
  isJsonObject,
  REQUEST_TIMEOUT,
  type Reply,
} from "../../json-rpc.ts";
import { type Absence, awayText } from "./required-data.ts";

/** Errors of a file system whose server is gone; of a tool's long answer they stand at the beginning. */
const CUT_OFF = /\b(EIO|ESTALE|ETIMEDOUT|EHOSTDOWN|EHOSTUNREACH|ENOTCONN)\b|input\/output error/i;
const BEGINNING = 2_000;

/** A tool failed by an error that may be the first sign of data that is away. */
export function looksCutOff(reply: Reply): boolean {
  if (isError(reply) || reply.result["isError"] !== true) return false;
  const { content } = reply.result;
  if (!Array.isArray(content)) return false;
  return content.some((part: unknown) => {
    const text = isJsonObject(part) ? part["text"] : null;
    return typeof text === "string" && CUT_OFF.test(text.slice(0, BEGINNING));
  });
}

/** `meanwhile`: it is back. What tells of no failure, or names the share already, stays as it is. */
export function withAbsence(reply: Reply, data: Absence, when: "now" | "meanwhile"): Reply {
  const text = when === "now" ? awayText(data) : `meanwhile ${awayText(data).replace(" is ", " was ")}`;
  if (isError(reply)) {
    const { code, message } = reply.error;
    const isOurs = code === REQUEST_TIMEOUT || code === BACKEND_UNAVAILABLE;
    const isNamed = message.includes(`share ${data.requirement} `);
    return isOurs && !isNamed ? errorReply(code, `${message}; ${text}`) : reply;
  }
  const { result } = reply;
  if (!isJsonObject(result) || result["isError"] !== true || !Array.isArray(result["content"])) return reply;
  return { ...reply, result: { ...result, content: [...result["content"], { type: "text", text }] } };
}
