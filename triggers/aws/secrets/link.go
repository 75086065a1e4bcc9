package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Link is a magic link as the table has it. Times are whole seconds.
type Link struct {
	SignatureHash []byte
	IssuedAt      time.Time
	Expires       time.Time
	KeyID         string    // as configured: what existing deployments look the key up by
	KeyARN        string    // of the key that signed; "": written by an existing deployment
	Operation     []byte    // nil: as KeyARN
	AddressHash   []byte    // nil: as KeyARN
	UsedAt        time.Time // zero: unused
	UsedBy        string
}

// Used reports whether the link was used.
func (l Link) Used() bool { return !l.UsedAt.IsZero() }

// Links are those of one user, as they were read together. The newest has the attributes of existing deployments.
type Links struct {
	user    Hash
	newest  *Link
	others  []Link // in our own item, older ones
	raw     Item   // the newest as it was read; nil: none
	version int64  // of our own item; 0: none
}

// mostOthers bounds our own item: unused links are few by the trigger's rules, used ones by the time between two.
const mostOthers = 16

// ReadLinks reads a user's links, strongly consistent.
func (t *Table) ReadLinks(ctx context.Context, user Hash) (*Links, error) {
	get := func(key Item) types.TransactGetItem {
		return types.TransactGetItem{Get: &types.Get{TableName: aws.String(t.Name), Key: key}}
	}
	for range mostRounds {
		out, err := t.Client.TransactGetItems(ctx, &dynamodb.TransactGetItemsInput{
			TransactItems: []types.TransactGetItem{get(userKey(user)), get(Key(KindLinks, user))},
		})
		if conflicted(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading magic links: %w", err)
		}
		return parseLinks(user, out.Responses[0].Item, out.Responses[1].Item)
	}
	return nil, fmt.Errorf("reading magic links: %w", errBusy)
}

func parseLinks(user Hash, newest, others Item) (*Links, error) {
	l := &Links{user: user, raw: newest}
	if len(newest) > 0 {
		link, err := parseLink(newest)
		if err != nil {
			return nil, err
		}
		l.newest = &link
	}
	l.version, _ = Int(others, "version")
	if list, ok := others["links"].(*types.AttributeValueMemberL); ok {
		for _, entry := range list.Value {
			m, ok := entry.(*types.AttributeValueMemberM)
			if !ok {
				return nil, errors.New("an item of magic links is damaged: delete it")
			}
			link, err := parseLink(m.Value)
			if err != nil {
				return nil, err
			}
			if !l.voids(link) {
				l.others = append(l.others, link)
			}
		}
	}
	return l, nil
}

// voids reports whether an older link is void because the newest was used after it was made. Ours deletes such links in the same step; an
// existing deployment's Verify does not know of them.
func (l *Links) voids(older Link) bool {
	return l.newest != nil && l.newest.Used() && !older.Used() && !older.IssuedAt.After(l.newest.UsedAt)
}

// All are the links, the newest first.
func (l *Links) All() []Link {
	if l.newest == nil {
		return slices.Clone(l.others)
	}
	return append([]Link{*l.newest}, l.others...)
}

// Find returns the link of a signature.
func (l *Links) Find(signatureHash Hash) (Link, bool) {
	all := l.All()
	i := slices.IndexFunc(all, func(one Link) bool { return bytes.Equal(one.SignatureHash, signatureHash[:]) })
	if i < 0 {
		return Link{}, false
	}
	return all[i], true
}

// Replace writes links in place of those that were read, the newest first, in one atomic step. It reports false, and has changed nothing,
// if somebody wrote meanwhile: then read again.
func (t *Table) Replace(ctx context.Context, read *Links, links []Link) (bool, error) {
	if len(links) > mostOthers+1 {
		links = links[:mostOthers+1]
	}
	writes := []types.TransactWriteItem{t.writeNewest(read, links)}
	if len(links) > 1 || read.version != 0 {
		writes = append(writes, t.writeOthers(read, links))
	} else {
		writes = append(writes, types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
			TableName: aws.String(t.Name), Key: Key(KindLinks, read.user), ConditionExpression: aws.String("attribute_not_exists(" + keyName + ")"),
		}})
	}
	_, err := t.Client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	if conflicted(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("writing magic links: %w", err)
	}
	return true, nil
}

func (t *Table) writeNewest(read *Links, links []Link) types.TransactWriteItem {
	condition, values := "attribute_not_exists("+keyName+")", Item(nil)
	if read.raw != nil {
		condition, values = "signatureHash = :was AND attribute_not_exists(uat)", Item{":was": read.raw["signatureHash"]}
		if uat, ok := read.raw["uat"]; ok {
			condition, values[":uat"] = "signatureHash = :was AND uat = :uat", uat
		}
	}
	if len(links) == 0 {
		return types.TransactWriteItem{Delete: &types.Delete{
			TableName: aws.String(t.Name), Key: userKey(read.user), ConditionExpression: aws.String(condition), ExpressionAttributeValues: values,
		}}
	}
	item := links[0].item()
	item[keyName] = Binary(read.user[:])
	return types.TransactWriteItem{Put: &types.Put{
		TableName: aws.String(t.Name), Item: item, ConditionExpression: aws.String(condition), ExpressionAttributeValues: values,
	}}
}

func (t *Table) writeOthers(read *Links, links []Link) types.TransactWriteItem {
	condition, values := "attribute_not_exists("+keyName+")", Item(nil)
	if read.version != 0 {
		condition, values = "version = :was", Item{":was": Number(read.version)}
	}
	if len(links) <= 1 {
		return types.TransactWriteItem{Delete: &types.Delete{
			TableName: aws.String(t.Name), Key: Key(KindLinks, read.user), ConditionExpression: aws.String(condition), ExpressionAttributeValues: values,
		}}
	}
	list, last := make([]types.AttributeValue, 0, len(links)-1), links[1].Expires
	for _, l := range links[1:] {
		list = append(list, &types.AttributeValueMemberM{Value: l.item()})
		if l.Expires.After(last) {
			last = l.Expires
		}
	}
	item := Key(KindLinks, read.user)
	item["links"], item["version"] = &types.AttributeValueMemberL{Value: list}, Number(t.now().UnixNano())
	item["exp"] = Number(last.Add(time.Hour).Unix())
	return types.TransactWriteItem{Put: &types.Put{
		TableName: aws.String(t.Name), Item: item, ConditionExpression: aws.String(condition), ExpressionAttributeValues: values,
	}}
}

// item has the names of existing deployments (signatureHash, iat, exp, kmsKeyId, uat) and ours beside them.
func (l Link) item() Item {
	i := Item{
		"signatureHash": Binary(l.SignatureHash),
		"iat":           Number(l.IssuedAt.Unix()),
		"exp":           Number(l.Expires.Unix()),
		"kmsKeyId":      Text(l.KeyID),
	}
	if l.KeyARN != "" {
		i["kmsKeyArn"] = Text(l.KeyARN)
	}
	if len(l.Operation) > 0 {
		i["op"] = Binary(l.Operation)
	}
	if len(l.AddressHash) > 0 {
		i["addressHash"] = Binary(l.AddressHash)
	}
	if l.Used() {
		i["uat"] = Number(l.UsedAt.Unix())
		if l.UsedBy != "" {
			i["usedBy"] = Text(l.UsedBy)
		}
	}
	return i
}

func parseLink(i Item) (Link, error) {
	l := Link{
		SignatureHash: Bytes(i, "signatureHash"), KeyID: String(i, "kmsKeyId"), KeyARN: String(i, "kmsKeyArn"),
		Operation: Bytes(i, "op"), AddressHash: Bytes(i, "addressHash"), UsedBy: String(i, "usedBy"),
	}
	issued, ok := Int(i, "iat")
	expires, ok2 := Int(i, "exp")
	if !ok || !ok2 || len(l.SignatureHash) == 0 {
		return Link{}, errors.New("a magic link in the secrets table lacks signatureHash, iat or exp: delete its item")
	}
	l.IssuedAt, l.Expires = time.Unix(issued, 0).UTC(), time.Unix(expires, 0).UTC()
	if used, ok := Int(i, "uat"); ok {
		l.UsedAt = time.Unix(used, 0).UTC()
	}
	return l, nil
}

func userKey(user Hash) Item { return Item{keyName: Binary(user[:])} }

// conflicted reports whether a transaction was given up because somebody else wrote: by its conditions, or while it ran.
func conflicted(err error) bool {
	var canceled *types.TransactionCanceledException
	if !errors.As(err, &canceled) {
		var conflict *types.TransactionConflictException
		return errors.As(err, &conflict)
	}
	for _, reason := range canceled.CancellationReasons {
		switch aws.ToString(reason.Code) {
		case "ConditionalCheckFailed", "TransactionConflict":
			return true
		}
	}
	return false
}
