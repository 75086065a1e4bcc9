// Calls every operation of the pool with Amazon's SDK for JavaScript. It reads {"endpoint","pool","client","link","code"} messages from stdin as
// it needs them, and prints one line of JSON for each step.
import { createInterface } from "node:readline";
import * as cognito from "@aws-sdk/client-cognito-identity-provider";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => JSON.parse((await lines.next()).value);
const say = (step) => process.stdout.write(JSON.stringify(step) + "\n");

const { endpoint, pool: UserPoolId, client: ClientId, id: accessKeyId, secret: secretAccessKey } = await read();
const client = new cognito.CognitoIdentityProviderClient({ endpoint, region: "local", maxAttempts: 1, credentials: { accessKeyId, secretAccessKey } });
const call = (name, input) => client.send(new cognito[`${name}Command`](input));
const wants = (what, ok) => {
  if (!ok) throw new Error(`${what} is not as in Cognito`);
};
const refused = async (kind, promise) => {
  try {
    await promise;
  } catch (error) {
    wants(`${error.name} (${error.message}) instead of ${kind}`, error instanceof cognito[kind]);
    return;
  }
  throw new Error(`no ${kind}`);
};

const Username = "dora@example.com";
const up = await call("SignUp", { ClientId, Username, Password: "x-Long-random-1" });
wants("SignUp", up.UserConfirmed === true && up.UserSub);
await refused("UsernameExistsException", call("SignUp", { ClientId, Username, Password: "x-Long-random-1" }));

const start = () => call("InitiateAuth", { ClientId, AuthFlow: "CUSTOM_AUTH", AuthParameters: { USERNAME: Username } });
const answer = (Session, ANSWER, ClientMetadata) =>
  call("RespondToAuthChallenge", { ClientId, ChallengeName: "CUSTOM_CHALLENGE", Session, ChallengeResponses: { USERNAME: Username, ANSWER }, ClientMetadata });
const first = await start();
wants("InitiateAuth", first.ChallengeName === "CUSTOM_CHALLENGE" && first.Session && first.ChallengeParameters.USERNAME === up.UserSub);
const asked = await answer(first.Session, "__dummy__", { signInMethod: "MAGIC_LINK", redirectUri: "https://auth.example.com/auth/link" });
say({ want: "link" });
const { link } = await read();
await refused("NotAuthorizedException", answer(first.Session, link, {}));
const { AuthenticationResult: tokens } = await answer(asked.Session, link, { signInMethod: "MAGIC_LINK", alreadyHaveMagicLink: "yes" });
wants("tokens", tokens.AccessToken && tokens.IdToken && tokens.RefreshToken && tokens.ExpiresIn === 3600 && tokens.TokenType === "Bearer");

const AccessToken = tokens.AccessToken;
const me = await call("GetUser", { AccessToken });
wants("GetUser", me.Username === up.UserSub && me.UserAttributes.some((a) => a.Name === "email_verified" && a.Value === "true"));
await call("UpdateUserAttributes", { AccessToken, UserAttributes: [{ Name: "phone_number", Value: "+31612345678" }] });
const sent = await call("GetUserAttributeVerificationCode", { AccessToken, AttributeName: "phone_number" });
wants("delivery", sent.CodeDeliveryDetails.DeliveryMedium === "SMS" && !sent.CodeDeliveryDetails.Destination.includes("612345"));
say({ want: "code" });
const { code: Code } = await read();
await refused("CodeMismatchException", call("VerifyUserAttribute", { AccessToken, AttributeName: "phone_number", Code: Code === "000000" ? "1" : "000000" }));
await call("VerifyUserAttribute", { AccessToken, AttributeName: "phone_number", Code });
await call("DeleteUserAttributes", { AccessToken, UserAttributeNames: ["phone_number"] });

const refreshed = await call("GetTokensFromRefreshToken", { ClientId, RefreshToken: tokens.RefreshToken });
wants("GetTokensFromRefreshToken", refreshed.AuthenticationResult.AccessToken !== AccessToken);
const older = await call("InitiateAuth", { ClientId, AuthFlow: "REFRESH_TOKEN_AUTH", AuthParameters: { REFRESH_TOKEN: tokens.RefreshToken } });
wants("REFRESH_TOKEN_AUTH", older.AuthenticationResult.IdToken);
await call("RevokeToken", { ClientId, Token: tokens.RefreshToken });
await refused("NotAuthorizedException", call("GetUser", { AccessToken }));

const listed = await call("ListUsers", { UserPoolId, Filter: `email = "${Username}"` });
wants("ListUsers", listed.Users.length === 1 && listed.Users[0].UserCreateDate instanceof Date);
const made = await call("AdminCreateUser", { UserPoolId, Username: "emil@example.com", MessageAction: "SUPPRESS" });
const Name = made.User.Username;
await call("CreateGroup", { UserPoolId, GroupName: "admins", Description: "all", Precedence: 1 });
await call("AdminAddUserToGroup", { UserPoolId, GroupName: "admins", Username: Name });
wants("groups", (await call("AdminListGroupsForUser", { UserPoolId, Username: Name })).Groups[0].GroupName === "admins");
wants("ListGroups", (await call("ListGroups", { UserPoolId })).Groups.length === 1);
wants("GetGroup", (await call("GetGroup", { UserPoolId, GroupName: "admins" })).Group.Precedence === 1);
wants("members", (await call("ListUsersInGroup", { UserPoolId, GroupName: "admins" })).Users[0].Username === Name);
await call("AdminRemoveUserFromGroup", { UserPoolId, GroupName: "admins", Username: Name });
await call("DeleteGroup", { UserPoolId, GroupName: "admins" });
await refused("ResourceNotFoundException", call("GetGroup", { UserPoolId, GroupName: "admins" }));
await call("AdminUpdateUserAttributes", { UserPoolId, Username: Name, UserAttributes: [{ Name: "email_verified", Value: "true" }] });
wants("AdminGetUser", (await call("AdminGetUser", { UserPoolId, Username: Name })).UserAttributes.some((a) => a.Name === "email_verified" && a.Value === "true"));
await call("AdminDisableUser", { UserPoolId, Username: Name });
await refused("NotAuthorizedException", call("AdminInitiateAuth", { UserPoolId, ClientId, AuthFlow: "CUSTOM_AUTH", AuthParameters: { USERNAME: Name } }));
await call("AdminEnableUser", { UserPoolId, Username: Name });
const server = await call("AdminInitiateAuth", { UserPoolId, ClientId, AuthFlow: "CUSTOM_AUTH", AuthParameters: { USERNAME: Name } });
const on = await call("AdminRespondToAuthChallenge", {
  UserPoolId, ClientId, ChallengeName: "CUSTOM_CHALLENGE", Session: server.Session, ChallengeResponses: { USERNAME: Name, ANSWER: "__dummy__" },
  ClientMetadata: { signInMethod: "MAGIC_LINK", redirectUri: "https://auth.example.com/auth/link" },
});
wants("AdminRespondToAuthChallenge", on.Session && on.Session !== server.Session);
await call("AdminUserGlobalSignOut", { UserPoolId, Username: Name });
await refused("NotAuthorizedException", call("AdminConfirmSignUp", { UserPoolId, Username: Name }));
await call("AdminDeleteUser", { UserPoolId, Username: Name });
await refused("UserNotFoundException", call("AdminGetUser", { UserPoolId, Username: Name }));
wants("DescribeUserPool", (await call("DescribeUserPool", { UserPoolId })).UserPool.Id === UserPoolId);
wants("DescribeUserPoolClient", (await call("DescribeUserPoolClient", { UserPoolId, ClientId })).UserPoolClient.ExplicitAuthFlows.includes("ALLOW_CUSTOM_AUTH"));
await refused("ResourceNotFoundException", call("DescribeUserPool", { UserPoolId: "local_000000000" }));
let unsupported = "";
await call("CreateUserPool", { PoolName: "x" }).catch((error) => (unsupported = error.name));
wants("an operation that is not supported", unsupported === "UnknownOperationException");
say({ done: true });
process.exit(0); // stdin stays open
