import "reflect-metadata";
import { once } from "node:events";
import { createPublicKey, X509Certificate, webcrypto } from "node:crypto";
import { credentials, Metadata, Server, status, type ServiceError } from "@grpc/grpc-js";
import * as x509 from "@peculiar/x509";
import { expect, test } from "vitest";
import { authenticate, authorityOf } from "#hub/agents/authenticate.ts";
import { agentServerCredentials } from "#hub/agents/credentials.ts";
import {
  AgentServiceClient,
  AgentServiceService,
  type AgentServiceServer,
} from "#proto/gen/plumbline/agent/v1/agent.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const makeKeys = () => webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
const name = (value: string, type: "url" | "dns") => new x509.SubjectAlternativeNameExtension([{ type, value }]);

async function makeAuthority() {
  const keys = await makeKeys();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=test",
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  const issue = async (names: x509.SubjectAlternativeNameExtension, notAfter = new Date(Date.now() + 60_000)) => {
    const own = await makeKeys();
    const certificate = await x509.X509CertificateGenerator.create({
      subject: "CN=any",
      issuer: root.subject,
      notBefore: new Date(Date.now() - 120_000),
      notAfter,
      signingKey: keys.privateKey,
      publicKey: own.publicKey,
      signingAlgorithm: algorithm,
      extensions: [names],
    });
    const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", own.privateKey)).toString("base64");
    return {
      pem: certificate.toString("pem"),
      key: `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`,
    };
  };
  return { pem: root.toString("pem"), issue };
}

const uri = (cluster: string) => name(`spiffe://plumbline/cluster/${cluster}`, "url");
const spkiOf = (pem: string) => createPublicKey(pem).export({ type: "spki", format: "der" }).toString("base64");

test("lets in the exact name with the exact key, over real TLS, and says why to everyone else", async () => {
  const [ours, theirs] = await Promise.all([makeAuthority(), makeAuthority()]);
  const server = await ours.issue(name("localhost", "dns"));
  const own = await ours.issue(uri("eu-1"));
  const record = (cluster: string) =>
    ({
      "eu-1": { spki: spkiOf(own.pem), revoked: null },
      "eu-2": { spki: spkiOf(own.pem), revoked: { atMs: 0 } },
    })[cluster];
  const hub = new Server();
  const session: AgentServiceServer["session"] = (call) => {
    const raw = call.getAuthContext().sslPeerCertificate?.raw;
    const caller = authenticate(raw, { ca: authorityOf(ours.pem), nowMs: Date.now(), record });
    call.emit("error", {
      code: status.UNAUTHENTICATED,
      details: caller.ok ? `hello ${caller.cluster}` : caller.because,
    });
  };
  hub.addService(AgentServiceService, { session } satisfies AgentServiceServer);
  const tls = agentServerCredentials({ ca: ours.pem, certificate: server.pem, privateKey: server.key });
  const port = await new Promise<number>((resolve, reject) => {
    hub.bindAsync("127.0.0.1:0", tls, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  const answer = async (client?: { pem: string; key: string }) => {
    const pair: [Buffer?, Buffer?] = client ? [Buffer.from(client.key), Buffer.from(client.pem)] : [];
    const channel = credentials.createSsl(Buffer.from(ours.pem), ...pair);
    const agent = new AgentServiceClient(`localhost:${port}`, channel);
    const call = agent.session(new Metadata());
    call.resume();
    const [error] = (await once(call, "error").catch((cause: unknown) => [cause])) as [ServiceError];
    agent.close();
    return error.details;
  };
  try {
    expect(await answer(own)).toBe("hello eu-1");
    expect(await answer()).toBe("a client certificate is needed");
    expect(await answer(await theirs.issue(uri("eu-1")))).toMatch(
      /^(Connection dropped|a client certificate is needed|certificate is not of)/,
    );
    expect(await answer(await ours.issue(uri("eu-1")))).toBe("eu-1 has another key on record");
    expect(await answer(await ours.issue(uri("eu-2")))).toBe("eu-2 is revoked");
    expect(await answer(await ours.issue(uri("eu-3")))).toBe("eu-3 has no key on record");
    expect(await answer(await ours.issue(name("eu-1", "dns")))).toContain("SPIFFE URI");
    expect(await answer(await ours.issue(uri("eu-1"), new Date(Date.now() - 60_000)))).toMatch(
      /^(Connection dropped|a client certificate is needed|certificate ended)/,
    );
  } finally {
    hub.forceShutdown();
  }
  expect(new X509Certificate(own.pem).subjectAltName).toBe("URI:spiffe://plumbline/cluster/eu-1");
});

// Over TLS such a certificate is dropped before a call is seen; the rule must hold where it is not.
test("refuses a foreign authority's certificate, and one outside its dates, by itself", async () => {
  const [ours, theirs] = await Promise.all([makeAuthority(), makeAuthority()]);
  const own = await ours.issue(uri("eu-1"));
  const judge = (pem: string, nowMs = Date.now()) => {
    const record = () => ({ spki: spkiOf(pem), revoked: null });
    const caller = authenticate(new X509Certificate(pem).raw, { ca: authorityOf(ours.pem), nowMs, record });
    return caller.ok ? caller.cluster : caller.because;
  };
  expect(judge(own.pem)).toBe("eu-1");
  expect(judge((await theirs.issue(uri("eu-1"))).pem)).toBe("certificate is not of this hub's CA");
  expect(judge(ours.pem)).toBe("certificate is not of this hub's CA");
  expect(judge(own.pem, Date.now() + 120_000)).toMatch(/^certificate ended .*: renew it$/);
  expect(judge(own.pem, Date.now() - 240_000)).toMatch(/^certificate is not valid before /);
});
