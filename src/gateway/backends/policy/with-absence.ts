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
