// The client of amazon-cognito-passwordless-auth as an application uses it, with its functions in reach of the test.
import { Passwordless } from "amazon-cognito-passwordless-auth";
import {
  getUser,
  getUserAttributeVerificationCode,
  signUp,
  updateUserAttributes,
  verifyUserAttribute,
} from "amazon-cognito-passwordless-auth/cognito-api";
import { signOut } from "amazon-cognito-passwordless-auth/common";
import {
  authenticateWithFido2,
  fido2CreateCredential,
  fido2DeleteCredential,
  fido2ListCredentials,
  fido2UpdateCredential,
} from "amazon-cognito-passwordless-auth/fido2";
import { requestSignInLink, signInWithLink } from "amazon-cognito-passwordless-auth/magic-link";
import { refreshTokens } from "amazon-cognito-passwordless-auth/refresh";
import { stepUpAuthenticationWithSmsOtp } from "amazon-cognito-passwordless-auth/sms-otp-stepup";
import { retrieveTokens, storeTokens } from "amazon-cognito-passwordless-auth/storage";

Passwordless.configure(window.configuration);

const claims = (token) => JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));

/** What a promise comes to, as text: the test compares it. */
const told = async (promise) => {
  try {
    return await promise;
  } catch (error) {
    return { failed: `${error.name}: ${error.message}` };
  }
};

const who = async (tokens) => {
  const kept = { ...(await retrieveTokens()), ...tokens };
  if (!kept.idToken) return { failed: "no tokens" };
  const id = claims(kept.idToken);
  return { email: id.email, method: id.sign_in_method ?? "", token: kept.accessToken, refreshToken: kept.refreshToken };
};

/** Signs in and keeps the tokens, without the timer that the client would set to refresh them. */
const tokensCb = (tokens) => storeTokens(tokens);
const signedIn = async ({ signedIn }) => who(await signedIn);

/** Registers a passkey as a front end without this client does: with the browser's own reading of the options. */
const addPasskeyByStandardJSON = async (friendlyName, query) => {
  const { fido2 } = window.configuration;
  const { idToken } = await retrieveTokens();
  const call = async (path, body) => {
    const answer = await fetch(fido2.baseUrl + path, {
      method: "POST",
      headers: { Authorization: "Bearer " + idToken, "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.message);
    return content;
  };
  const options = await call(`register-authenticator/start?rpId=${fido2.rp.id}${query}`, {});
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  const { response } = (await navigator.credentials.create({ publicKey })).toJSON();
  const added = await call("register-authenticator/complete", {
    attestationObjectB64: response.attestationObject,
    clientDataJSON_B64: response.clientDataJSON,
    transports: response.transports,
    friendlyName,
  });
  return { name: added.friendlyName, id: added.credentialId };
};

let smsAsked, smsCode;

window.passwordless = {
  signUp: (username) => told(signUp({ username, password: crypto.randomUUID() + "-Aa1" }).then(() => ({}))),
  requestLink: (username) => told(requestSignInLink({ username, redirectUri: location.origin + "/" }).signInLinkRequested.then(() => ({}))),
  useLink: () => told(signedIn(signInWithLink({ tokensCb }))),
  me: () => told(getUser({}).then((user) => ({ email: user.UserAttributes?.find((a) => a.Name === "email")?.Value, failed: user.__type }))),
  addPasskey: (friendlyName) => told(fido2CreateCredential({ friendlyName }).then((p) => ({ name: p.friendlyName, id: p.credentialId }))),
  addPasskeyByStandardJSON: (friendlyName, query) => told(addPasskeyByStandardJSON(friendlyName, query)),
  passkeys: () => told(fido2ListCredentials().then((list) => ({ names: list.authenticators.map((a) => a.friendlyName) }))),
  renamePasskey: (credentialId, friendlyName) => told(fido2UpdateCredential({ credentialId, friendlyName }).then(() => ({}))),
  deletePasskey: (credentialId) => told(fido2DeleteCredential({ credentialId }).then(() => ({}))),
  usePasskey: (username) => told(signedIn(authenticateWithFido2({ username, tokensCb }))),
  setPhone: (value) => told(updateUserAttributes({ userAttributes: [{ name: "phone_number", value }] }).then(() => ({}))),
  askPhoneCode: () => told(getUserAttributeVerificationCode({ attributeName: "phone_number" }).then(() => ({}))),
  verifyPhone: (code) => told(verifyUserAttribute({ attributeName: "phone_number", code }).then(() => ({}))),
  stepUp: (username) => {
    const asked = new Promise((resolve) => (smsAsked = resolve));
    const done = stepUpAuthenticationWithSmsOtp({
      username,
      tokensCb,
      smsMfaCode: (phoneNumber) => new Promise((resolve) => ((smsCode = resolve), smsAsked({ phone: phoneNumber }))),
    });
    window.steppedUp = told(signedIn(done));
    return Promise.race([asked, window.steppedUp]);
  },
  giveCode: (code, last) => {
    const again = new Promise((resolve) => (smsAsked = resolve));
    smsCode(code);
    return last ? window.steppedUp : Promise.race([again, window.steppedUp]);
  },
  refresh: () => told(refreshTokens({ tokensCb: (tokens) => tokens && storeTokens({ ...tokens }) }).then(who)),
  signOut: () => told(signOut().signedOut.then(() => ({}))),
};
document.title = "ready";
