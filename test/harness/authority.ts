import "reflect-metadata";
import { createPrivateKey, KeyObject, randomBytes, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const dayMs = 86_400_000;
x509.cryptoProvider.set(webcrypto as unknown as Crypto);

type Crypto = Parameters<typeof x509.cryptoProvider.set>[0];
export type KeyAndCertificate = { readonly keyPem: string; readonly certificatePem: string };

/** A certificate authority for one test's servers. Certificates live a day. */
export type Authority = KeyAndCertificate & {
  issue(subject: string, names?: { dns?: string[]; ips?: string[] }): Promise<KeyAndCertificate>;
};

export async function createAuthority(): Promise<Authority> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity(),
    serialNumber: serial(),
    name: "CN=test authority",
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  return authorityOf(certificate, keys.privateKey);
}

/** The same authority in another process. */
export async function openAuthority({ keyPem, certificatePem }: KeyAndCertificate): Promise<Authority> {
  const der = createPrivateKey(keyPem).export({ type: "pkcs8", format: "der" });
  const key = await webcrypto.subtle.importKey("pkcs8", der, algorithm, true, ["sign"]);
  return authorityOf(new x509.X509Certificate(certificatePem), key);
}

function authorityOf(certificate: x509.X509Certificate, signingKey: webcrypto.CryptoKey): Authority {
  return {
    keyPem: pemOf(signingKey),
    certificatePem: certificate.toString("pem"),
    issue: async (subject, names = {}) => {
      const own = await generateKeys();
      const issued = await x509.X509CertificateGenerator.create({
        ...validity(),
        serialNumber: serial(),
        subject,
        issuer: certificate.subject,
        publicKey: own.publicKey,
        signingKey,
        signingAlgorithm: algorithm,
        extensions: [
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
          new x509.SubjectAlternativeNameExtension([
            ...(names.dns ?? []).map((value) => ({ type: "dns" as const, value })),
            ...(names.ips ?? []).map((value) => ({ type: "ip" as const, value })),
          ]),
        ],
      });
      return { keyPem: pemOf(own.privateKey), certificatePem: issued.toString("pem") };
    },
  };
}

const generateKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);

const pemOf = (key: webcrypto.CryptoKey): string =>
  KeyObject.from(key).export({ type: "pkcs8", format: "pem" }) as string;

// A positive serial of 16 bytes: the first bit clear, the first byte not zero.
const serial = (): string => `1${randomBytes(16).toString("hex").slice(1)}`;
const validity = (): { notBefore: Date; notAfter: Date } => ({
  notBefore: new Date(Date.now() - 60_000),
  notAfter: new Date(Date.now() + dayMs),
});
