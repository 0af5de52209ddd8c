// Computers that answer WS-Discovery, such as Windows and wsdd. An answer has no name and no port, so only the
// sender's address is reported.
import { randomUUID } from "node:crypto";
import type { LinkProtocol } from "./link-protocol.ts";

const SMB_PORT = 445;

export function createWsDiscovery(): LinkProtocol {
  const id = `urn:uuid:${randomUUID()}`;
  return {
    group: "239.255.255.250",
    port: 3702,
    question: () => Buffer.from(probe(id)),
    take(message, sender) {
      const text = message.toString("utf8");
      const isMatch = ["ProbeMatches", "Computer", id].every((part) => text.includes(part));
      const claims = isMatch
        ? [{ address: sender, port: SMB_PORT, name: null, host: null, byItself: true }]
        : [];
      return { claims, question: null };
    },
  };
}

function probe(id: string): string {
  const addressing = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
  const discovery = "http://schemas.xmlsoap.org/ws/2005/04/discovery";
  return [
    '<?xml version="1.0" encoding="utf-8"?>',
    `<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope" xmlns:wsa="${addressing}" xmlns:wsd="${discovery}">`,
    "<soap:Header><wsa:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</wsa:To>",
    `<wsa:Action>${discovery}/Probe</wsa:Action><wsa:MessageID>${id}</wsa:MessageID></soap:Header>`,
    '<soap:Body><wsd:Probe><wsd:Types xmlns:wsdp="http://schemas.xmlsoap.org/ws/2006/02/devprof">wsdp:Device</wsd:Types>',
    "</wsd:Probe></soap:Body></soap:Envelope>",
  ].join("");
}
